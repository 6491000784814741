import { isObject } from '#api/is-object.ts'
import type { MachineConfig } from '#fly/machine.ts'

/**
 * An app's config as Fly keeps it with a release: the values of fly.toml. `fly config show`,
 * `fly scale count` and `fly deploy` without a file make machines from it.
 */
export type Definition = Record<string, unknown>

/** The definition of a deploy: the config file, with what options and defaults add to it. */
export function definitionOf(
  file: Definition,
  { region, groups }: { region: string; groups: { config: MachineConfig }[] },
  env: Record<string, string>,
): Definition {
  // A definition has one env for all groups.
  const ports = new Set(groups.flatMap(({ config }) => config.env?.['PORT'] ?? []))
  const [port] = ports.size === 1 ? ports : []
  const sections = Object.entries(file).filter(([, value]) => !isNothing(value))
  const withPort = {
    ...Object.fromEntries(sections),
    env: { ...(port && { PORT: port }), ...tableOf(file['env']) },
  }
  return { primary_region: region, ...withEnv(withPort, env) }
}

export const withEnv = (definition: Definition, env: Record<string, string>): Definition => ({
  ...definition,
  env: { ...tableOf(definition['env']), ...env },
})

/** Adds the hardware of groups for which the config file has none. */
export function withGuests(
  definition: Definition,
  guests: Record<string, Record<string, unknown>>,
): Definition {
  const { vm = [] } = definition
  const more = Object.entries(guests).map(([group, guest]) => ({ ...guest, processes: [group] }))
  return more.length === 0
    ? definition
    : { ...definition, vm: [...(Array.isArray(vm) ? (vm as unknown[]) : [vm]), ...more] }
}

/** What the reader of the file has put in for sections that it lacks. TOML has no null. */
const isNothing = (value: unknown): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0)

const tableOf = (value: unknown): object => (isObject(value) ? value : {})
