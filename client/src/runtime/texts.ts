import type { SecretFacts } from '#api/secret.ts'
import type { EnvEntry } from '#api/runtime/env.ts'
import type { ChangedNames, RuntimeSecret } from '#api/runtime/secrets.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'

/** What a change has done, in one line: `added A, B; same value as before: C`. */
export function changeText(app: string, names: ChangedNames): string {
  const parts = [
    ['added', names.added],
    ['changed', names.changed],
    ['removed', names.removed],
    ['same value as before:', names.same],
    ['not there:', names.absent],
  ] as const
  const done = parts.flatMap(([what, of]) => (of.length > 0 ? [`${what} ${of.join(', ')}`] : []))
  return `${app}: ${done.join('; ')}`
}

const time = (at: string | null) => (at === null ? '-' : minuteOf(at))

/** Secrets of both kinds in one table. */
export function secretTable(runtime: RuntimeSecret[], build: SecretFacts[]): string[] {
  const rows = [
    ...runtime.map(({ name, digest, updatedAt, state, changedBy }) => {
      const by = changedBy === 'another tool' ? ', by another tool' : ''
      return [name, 'runtime', digest ?? '-', time(updatedAt), stateTexts[state] + by]
    }),
    ...build.map(({ name, updatedAt }) => [name, 'build', '-', time(updatedAt), 'for builds']),
  ]
  return rows.length === 0
    ? ['no secrets']
    : table([['NAME', 'KIND', 'DIGEST', 'UPDATED (UTC)', 'STATE'], ...rows], [])
}

const stateTexts: Record<RuntimeSecret['state'], string> = {
  deployed: 'deployed',
  staged: 'staged',
  removed: 'removed, still in a release',
  unknown: 'not known',
}

export function envTable(env: EnvEntry[]): string[] {
  if (env.length === 0) return ['no variables']
  const hasOwners = env.some(({ owner }) => owner !== null)
  const hasGroups = env.some(({ group }) => group !== null)
  const head = ['NAME', 'VALUE', 'FROM', 'STATE', ...where('OWNER', 'GROUP')]
  function where(owner: string, group: string): string[] {
    return [...(hasOwners ? [owner] : []), ...(hasGroups ? [group] : [])]
  }
  const rows = env.map(({ name, value, from, state, owner, group, release }) => [
    name,
    value,
    fromTexts[from],
    state === 'running' ? `release ${release}` : 'from the next deployment',
    ...where(owner ?? '-', group ?? '-'),
  ])
  return table([head, ...rows], [])
}

const fromTexts: Record<EnvEntry['from'], string> = {
  settings: 'settings',
  deployment: 'its deployment',
  source: 'its source',
}
