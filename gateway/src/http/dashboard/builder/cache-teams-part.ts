import type { Team } from '#api/callers/teams.ts'
import type { CacheStatus } from '#api/status/cache.ts'
import { isUnknown, type Unknown } from '#api/status/part.ts'
import { addressOf } from '../parts/addresses.ts'
import { percentOf } from '../parts/percent.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { sizeText } from '../parts/size.ts'
import { table } from '../parts/tables.ts'

/** What the apps of each team have of the build cache. Null: there is one team alone, or the daemon does not answer. */
export async function cacheTeamsPart(
  { commands, caller }: PageContext,
  cache: CacheStatus | Unknown | undefined,
): Promise<Html | null> {
  if (!cache || isUnknown(cache)) return null
  const { teams } = await commands.teams.list(caller)
  return teams.length === 0 ? null : teamsTable(teams, cache)
}

function teamsTable(teams: readonly Team[], { apps, totalBytes, sharedBytes }: CacheStatus): Html {
  const teamOf = new Map(teams.flatMap(({ name, apps: own }) => own.map((app) => [app, name])))
  const byTeam = Map.groupBy(apps, ({ app }) => teamOf.get(app) ?? 'default')
  const rows = [...byTeam].map(([team, own]) => ({
    team,
    count: own.length,
    bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
  }))
  return html`${table(
      'What the apps of each team alone have of the build cache',
      ['Team', 'Size', 'Of the cache', 'Apps'],
      rows
        .toSorted((a, b) => b.bytes - a.bytes)
        .map(({ team, count, bytes }) => [
          html`<a href="${addressOf('team', { team })}">${team}</a>`,
          sizeText(bytes),
          percentOf(bytes, totalBytes),
          count,
        ]),
    )}
    <p class="quiet">Another ${sizeText(sharedBytes)} are of several apps.</p>`
}
