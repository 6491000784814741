import { refuse } from './schema.ts'

/**
 * Names that the gateway and Fly's own tools give to machines. They say who owns a machine and what
 * may be done with it.
 */
const reserved = /^\s*(?:tarmac|fly)[_-]/i

/**
 * Whether a source may not set this metadata key. With it, a machine could claim to be another
 * owner's, or one that may be destroyed.
 */
export const isReserved = (name: string): boolean => reserved.test(name)

export function refuseReservedMetadata(key: string, metadata: Record<string, string>): void {
  const found = Object.keys(metadata).find(isReserved)
  if (found === undefined) return
  refuse(
    `${key}.metadata`,
    `sets ${JSON.stringify(found.slice(0, 100))}. Keys that begin with tarmac_ or fly_ are set by the gateway and by Fly alone. Take it out.`,
  )
}

/**
 * A group's name becomes `fly_process_group`. Machines of groups that begin with fly_app_ do not
 * count as the app's. Names with a hyphen, such as fly-worker, are allowed: nothing confuses a
 * hyphen with an underscore.
 */
export function refuseReservedGroups(names: string[]): void {
  const found = names.find((name) => /^\s*(?:tarmac|fly)_/i.test(name))
  if (found === undefined) return
  refuse(
    `processes.${found.slice(0, 100)}`,
    'has a name that is reserved for machines of Fly and of the gateway. Choose a name that does not begin with fly_ or tarmac_.',
  )
}

/** The gateway records on each machine which variables it set, separated by commas. */
export function refuseEnvNames(env: Record<string, string>): void {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const found = Object.keys(env).find((name) => /[,=\x00-\x1f\x7f]/.test(name))
  if (found === undefined) return
  refuse(
    'env',
    `has the name ${JSON.stringify(found.slice(0, 100))}. A name has no comma, no = and no control character.`,
  )
}
