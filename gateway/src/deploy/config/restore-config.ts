import type { MachineConfig } from '#fly/machine.ts'
import type { DesiredApp } from './desired-app.ts'
import { managed, omit } from './merge-config.ts'

/** The part of a later release that `restoreConfig` needs, without large files and environment. */
export const keysOf = ({
  groups,
  definition: _definition,
  ...desired
}: DesiredApp): DesiredApp => ({
  ...desired,
  groups: groups.map(({ lastApplied: _lastApplied, ...group }) => ({
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
    const laterConfigs = later.flatMap(({ groups }) =>
      groups.filter((one) => one.name === name).map((one) => one.config),
    )

    const top = revert(
      laterConfigs.map((each) => omit(each, skippedKeys)),
      config,
      lastApplied,
    )
    const init = revert<unknown>(
      laterConfigs.map((each) => each.init),
      config.init,
      lastApplied.init,
    )
    const metadata = revert(
      laterConfigs.map((each) => each.metadata),
      config.metadata,
      lastApplied.metadata,
    )

    return Object.assign({}, group, {
      config: {
        ...config,
        ...top.restored,
        init: { ...config.init, ...init.restored },
        metadata: { ...config.metadata, ...metadata.restored },
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
  const groups = desired.groups.map(({ removedPaths: _removedPaths, lastApplied, ...group }) => {
    const config = applied[group.name]
    const last = config ? persistedConfig(config) : lastApplied
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
  const kept = Object.entries(
    omit(appliedConfig, [...managed, 'image', 'env', 'mounts', 'standbys']),
  ).filter(([, value]) => !isEmpty(value))
  const metadata = Object.entries(appliedConfig.metadata ?? {}).filter(
    ([key]) => !/^(tarmac_|fly_builder_id$|fly_release_)/.test(key),
  )
  return { ...Object.fromEntries(kept), metadata: Object.fromEntries(metadata) }
}

/** Fly may omit an empty value or fill it in. */
export const isEmpty = (value: unknown): boolean =>
  !value || (typeof value === 'object' && Object.keys(value).length === 0)

/**
 * Top-level keys to skip: a deploy sets them, `part` handles them, or they belong to the machine.
 */
const skippedKeys = [...managed, 'image', 'env', 'init', 'metadata', 'mounts', 'standbys']

/**
 * Finds the keys of later releases that this one lacks. `restored` has those that were on the
 * machine before, with their values. `removedPaths` lists the others.
 */
function revert<T>(
  laterConfigs: (Record<string, T> | undefined)[],
  desired: Record<string, T> = {},
  lastApplied: Record<string, T> = {},
): { restored: Record<string, T>; removedPaths: string[] } {
  const keys = new Set(
    laterConfigs.flatMap((each) => Object.keys(each ?? {})).filter((key) => !(key in desired)),
  )
  const restored = Object.fromEntries(Object.entries(lastApplied).filter(([key]) => keys.has(key)))
  return { restored, removedPaths: [...keys].filter((key) => !(key in restored)) }
}
