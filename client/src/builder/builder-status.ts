import { guestSize, sizeText } from '#api/status/machine.ts'
import { renderStatus } from '#api/status/render.ts'
import { visible, visibleJson } from '#api/text/visible-text.ts'
import type { Builder } from './find-builder.ts'
import type { OnFly } from './fly-machines.ts'
import { type BuilderState, readBuilder } from './read-status.ts'

/** `tarmac builder status`. Returns the exit code: 1 when nothing could be read. */
export async function builderStatus(
  builder: Builder,
  { json, wake }: { json: boolean; wake: boolean },
  signal: AbortSignal,
): Promise<number> {
  const state = await readBuilder(builder, wake, signal)
  const exitCode = state.status || state.onFly ? 0 : 1
  const text = json
    ? visibleJson({ v: 1, type: 'result', exitCode, ...state })
    : renderBuilder(state).map(visible).join('\n')
  process.stdout.write(`${text}\n`)
  return exitCode
}

export function renderBuilder({ app, onFly, status, ways }: BuilderState): string[] {
  return [
    ...(onFly ? [`builder   ${app}: ${renderOnFly(onFly)}`] : []),
    ...(status ? renderStatus(status) : []),
    ...ways,
  ]
}

function renderOnFly({ machine, machines, volume }: OnFly): string {
  if (!machine) return 'no machine; tarmac up makes one'
  const { id, state, region, config, host_status } = machine
  const known = guestSize(config?.guest)
  const size = known ? sizeText(known) : 'size not known'
  return [
    `${state}, machine ${id}, region ${region}, ${size}`,
    ...(volume
      ? [`volume ${volume.id}${volume.size_gb ? ` of ${volume.size_gb} GB` : ''}`]
      : ['no volume']),
    ...(host_status && host_status !== 'ok' ? [`its host is ${host_status}`] : []),
    ...(machines > 1 ? [`${machines} machines: there should be one; tarmac up repairs this`] : []),
  ].join('; ')
}
