import { isQuotaName, quotaNames } from '#api/callers/quotas.ts'
import { nearestOf } from '#api/text/nearest.ts'
import { wrongUse } from '../option.ts'

/** What `tarmac team` and `tarmac limits` ask for. */
export type TeamRequest =
  | { verb: 'limits' | 'list' }
  | { verb: 'create' | 'show' | 'delete'; team: string }
  | { verb: 'add-member' | 'remove-member' | 'add-app' | 'remove-app'; team: string; what: string }
  | { verb: 'set-quota'; team: string; quotas: Record<string, number | 'none' | null> }

export const teamUsage =
  'list | create TEAM | show TEAM | delete TEAM | add-member TEAM MEMBER | remove-member TEAM MEMBER | add-app TEAM APP | remove-app TEAM APP | set-quota TEAM QUOTA=NUMBER...'

const verbs = {
  ofTeam: ['create', 'show', 'delete'],
  ofWhat: ['add-member', 'remove-member', 'add-app', 'remove-app'],
} as const

/** Reads the arguments of `tarmac team`. Null: they are used in another way. */
export function readTeamArgs([given, team, ...more]: string[]): TeamRequest | null {
  if (given === 'list') return team === undefined ? { verb: given } : null
  if (team === undefined) return null
  const [what] = more
  const ofTeam = verbs.ofTeam.find((verb) => verb === given)
  if (ofTeam) return what === undefined ? { verb: ofTeam, team } : null
  const ofWhat = verbs.ofWhat.find((verb) => verb === given)
  if (ofWhat) return what !== undefined && more.length === 1 ? { verb: ofWhat, team, what } : null
  if (given !== 'set-quota' || what === undefined) return null
  return { verb: given, team, quotas: Object.fromEntries(more.map(readQuota)) }
}

/** `builds=2`, `builds=none` or `builds=default`. */
function readQuota(given: string): [string, number | 'none' | null] {
  const [, name = given, value = ''] = /^([^=]*)=(.*)$/.exec(given) ?? []
  if (!isQuotaName(name))
    throw wrongUse(
      `There is no quota ${name}. Did you mean ${nearestOf(name, quotaNames)}? The quotas are ${quotaNames.join(', ')}.`,
    )
  if (value === 'none') return [name, 'none']
  if (value === 'default') return [name, null]
  if (/^\d{1,10}$/.test(value)) return [name, Number(value)]
  throw wrongUse(
    `The quota ${name} is a whole number, none (no limit) or default: ${name}=10, not ${given}.`,
  )
}
