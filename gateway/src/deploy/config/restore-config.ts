import type { MachineConfig } from '../../fly/machine.ts'
import type { DesiredApp } from './desired.ts'
import { managed, omit } from './merge-config.ts'

/** As much of a later release as `asItWas` looks at: without its files and environment, which may be large. */
export const keysOf = ({ groups, ...desired }: DesiredApp): DesiredApp => ({
  ...desired,
  groups: groups.map(({ was: _was, ...group }) => ({
    ...group,
    config: omit(group.config, [...managed, 'env']),
  })),
})

/** A release once more on machines of its own target: what later releases alone have said there goes, or is again as it was. */
export function restoreConfig(desired: DesiredApp, later: DesiredApp[]): DesiredApp {
  const groups = desired.groups.map((group) => {
    const { name, config, was } = group
    if (!was) return group
    const said = later.flatMap(({ groups }) =>
      groups.filter((one) => one.name === name).map((one) => one.config),
    )
    const top = revert(
      said.map((each) => omit(each, elsewhere)),
      config,
      was,
    )
    const part = (key: 'init' | 'metadata') =>
      revert(
        said.map((each) => each[key]),
        config[key],
        was[key],
      )
    const [init, metadata] = [part('init'), part('metadata')]
    return Object.assign({}, group, {
      config: {
        ...config,
        ...top.back,
        init: { ...config.init, ...init.back },
        metadata: { ...config.metadata, ...(metadata.back as Record<string, string>) },
      },
      gone: [
        ...top.gone,
        ...init.gone.map((key) => `init.${key}`),
        ...metadata.gone.map((key) => `metadata.${key}`),
      ],
    })
  })
  return { ...desired, groups }
}

/** What a release keeps of the config that a machine of it got: all that is not the machine's own, nor the deployment's. */
export function persistedConfig(laid: MachineConfig): MachineConfig {
  // The managed sections are those of the desired config, which the release holds beside this.
  const said = Object.entries(
    omit(laid, [...managed, 'image', 'env', 'mounts', 'standbys']),
  ).filter(([, value]) => !isEmpty(value))
  const metadata = Object.entries(laid.metadata ?? {}).filter(
    ([key]) => !/^(tarmac_|fly_builder_id$)/.test(key),
  )
  return { ...Object.fromEntries(said), metadata: Object.fromEntries(metadata) }
}

/** Fly leaves out what is empty, or fills it in. */
export const isEmpty = (value: unknown): boolean =>
  !value || (typeof value === 'object' && Object.keys(value).length === 0)

/** What a deploy brings about by itself, and what stays with the machine. */
const elsewhere = [...managed, 'image', 'env', 'init', 'metadata', 'mounts', 'standbys']

/** Of the keys in `said` that are not in `now`: those that were there before, with their values, and those that were not. */
function revert(said: (object | undefined)[], now: object = {}, was: object = {}) {
  const keys = new Set(
    said.flatMap((each) => Object.keys(each ?? {})).filter((key) => !(key in now)),
  )
  const back: Record<string, unknown> = Object.fromEntries(
    Object.entries(was).filter(([key]) => keys.has(key)),
  )
  return { back, gone: [...keys].filter((key) => !(key in back)) }
}
