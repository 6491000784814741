import type { NewEvent } from '#api/event.ts'
import type { StatusResponse } from '../messages.ts'

/** A finding of the linter of Dockerfiles, with the place of its cause. */
export function warningOf({
  short,
  url,
  info,
  ranges,
}: StatusResponse['warnings'][number]): NewEvent {
  const text = Buffer.from(short).toString()
  const line = ranges[0]?.start?.line
  return {
    type: 'warning',
    text: url ? `${text} (${url})` : text,
    ...(info?.file && { file: info.file }),
    ...(line !== undefined && { line }),
  }
}
