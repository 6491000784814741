import type { MachineConfig } from '#fly/machine.ts'
import { withEnv } from './definition.ts'
import type { DesiredApp } from './desired-app.ts'

/** The same release without these variables, in all its groups and in what Fly keeps of it. */
export function withoutEnv(desired: DesiredApp, names: string[]): DesiredApp {
  if (names.length === 0) return desired
  const without = (env: object = {}) =>
    Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)))
  const strip = (config: MachineConfig) => ({ ...config, env: without(config.env) })
  const { releaseCommand, definition } = desired
  return {
    ...desired,
    groups: desired.groups.map((group) => ({ ...group, config: strip(group.config) })),
    releaseCommand: releaseCommand && { ...releaseCommand, config: strip(releaseCommand.config) },
    ...(definition && {
      definition: withEnv({ ...definition, env: without(Object(definition['env'])) }, {}),
    }),
  }
}
