import type { MachineConfig } from '../../fly/machine.ts'
import type { DesiredApp } from './desired-app.ts'
import { managed, omit } from './merge-config.ts'

/** The part of a later release that `restoreConfig` needs, without large files and environment. */
export const keysOf = ({ groups, ...desired }: DesiredApp): DesiredApp => ({
  ...desired,
  groups: groups.map(({ lastApplied: _was, ...group }) => ({
    ...group,
    config: omit(group.config, [...managed, 'env']),
  })),
})

/**
 * Prepares a rollback of one target to this release. Settings that only later releases made are
 * removed or restored.
 */
export function restoreConfig(desired: DesiredApp, later: DesiredApp[]): DesiredApp {
  const groups = desired.groups.map((group) => {
    const { name, config, lastApplied } = group
    if (!lastApplied) return group
    const said = later.flatMap(({ groups }) =>
      groups.filter((one) => one.name === name).map((one) => one.config),
    )

    const top = revert(
      said.map((each) => omit(each, elsewhere)),
      config,
      lastApplied,
    )
    const init = revert<unknown>(
      said.map((each) => each.init),
      config.init,
      lastApplied.init,
    )
    const metadata = revert(
      said.map((each) => each.metadata),
      config.metadata,
      lastApplied.metadata,
    )

    return Object.assign({}, group, {
      config: {
        ...config,
        ...top.back,
        init: { ...config.init, ...init.back },
        metadata: { ...config.metadata, ...metadata.back },
      },
      removedPaths: [
        ...top.removedPaths,
        ...init.removedPaths.map((key) => `init.${key}`),
        ...metadata.removedPaths.map((key) => `metadata.${key}`),
      ],
    })
  })
  return { ...desired, groups }
}

/** The desired state as a release stores it. `applied`: by group, what its machines got. */
export function withLastApplied(
  desired: DesiredApp,
  applied: Record<string, MachineConfig>,
): DesiredApp {
  const groups = desired.groups.map(({ removedPaths: _done, lastApplied, ...group }) => {
    const got = applied[group.name]
    const last = got ? persistedConfig(got) : lastApplied
    return { ...group, ...(last && { lastApplied: last }) }
  })
  return { ...desired, groups }
}

/**
 * The part of a machine's config that a release stores: all that is not specific to the machine or
 * the deployment.
 */
function persistedConfig(appliedConfig: MachineConfig): MachineConfig {
  // The release already has the managed sections in its desired config.
  const said = Object.entries(
    omit(appliedConfig, [...managed, 'image', 'env', 'mounts', 'standbys']),
  ).filter(([, value]) => !isEmpty(value))
  const metadata = Object.entries(appliedConfig.metadata ?? {}).filter(
    ([key]) => !/^(tarmac_|fly_builder_id$)/.test(key),
  )
  return { ...Object.fromEntries(said), metadata: Object.fromEntries(metadata) }
}

/** Fly may omit an empty value or fill it in. */
export const isEmpty = (value: unknown): boolean =>
  !value || (typeof value === 'object' && Object.keys(value).length === 0)

/**
 * Top-level keys to skip: a deploy sets them, `part` handles them, or they belong to the machine.
 */
const elsewhere = [...managed, 'image', 'env', 'init', 'metadata', 'mounts', 'standbys']

/**
 * Looks at the keys in `said` that `now` lacks. `back` holds those that `was` has, with their
 * values. `gone` lists the others.
 */
function revert<T>(
  said: (Record<string, T> | undefined)[],
  now: Record<string, T> = {},
  was: Record<string, T> = {},
): { back: Record<string, T>; removedPaths: string[] } {
  const keys = new Set(
    said.flatMap((each) => Object.keys(each ?? {})).filter((key) => !(key in now)),
  )
  const back = Object.fromEntries(Object.entries(was).filter(([key]) => keys.has(key)))
  return { back, removedPaths: [...keys].filter((key) => !(key in back)) }
}
