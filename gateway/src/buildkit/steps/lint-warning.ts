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
  const code = info && linesOf(info.data, line, ranges[0]?.end?.line)
  return {
    type: 'warning',
    text: url ? `${text} (${url})` : text,
    ...(info?.file && { file: info.file }),
    ...(line !== undefined && { line }),
    ...(code && { code }),
  }
}

const codeChars = 300

/** The instruction that the finding is about, as the Dockerfile has it. */
function linesOf(dockerfile: Uint8Array, from = 0, to = from): string {
  const lines = from < 1 ? [] : Buffer.from(dockerfile).toString().split('\n', to)
  return lines
    .slice(from - 1)
    .join('\n')
    .slice(0, codeChars)
}
