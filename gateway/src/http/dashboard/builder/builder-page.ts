import type { Unknown } from '#api/status/part.ts'
import { addresses } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { section } from '../parts/tables.ts'
import { cacheTeamsPart } from './cache-teams-part.ts'
import { doctorForm } from './builder-actions.ts'
import { cachePart } from './cache-part.ts'
import { diskHistoryPart } from './disk-history-part.ts'
import { diskPart } from './disk-part.ts'
import { flyPart } from './fly-part.ts'
import { gatewayPart } from './gateway-part.ts'
import { known } from './known.ts'
import { limitsPart } from './limits-part.ts'
import { mirrorPart } from './mirror-part.ts'
import { problemsPart } from './problems-part.ts'
import { removalsPart } from './removals-part.ts'
import { versionsPart } from './versions-part.ts'

const seconds = 15
const failedShown = 100

/** The machine that builds, and the gateway on it. */
export const builderPage: Page = {
  path: addresses.builder,
  section: 'builder',
  assets: ['boards.css', 'pictures.css'],
  async show(context) {
    const { commands, caller } = context
    const status = await commands.status(caller)
    // Of a limited caller, the gateway shows the queue and the cache alone.
    const isWhole = status.versions !== undefined
    const history = isWhole && (await partOf(commands.diskHistory(caller), diskHistoryPart))
    const teams = isWhole && (await cacheTeamsPart(context, status.cache))
    const failed = commands.overview.deployments(
      caller,
      { state: ['build_failed', 'deploy_failed'] },
      { limit: failedShown, before: null },
    )
    return {
      title: 'Builder',
      live: { seconds },
      body: html`<h1>Builder</h1>
        ${section('gateway', 'Gateway', gatewayPart(status))}
        ${!isWhole && html`<p class="quiet">Disk, limits, mirror and versions are for callers that are not limited to some apps or teams.</p>`}
        ${part('disk', 'Disk', status.disk, diskPart)}
        ${history && section('disk-history', 'Disk until now', history)}
        ${part('cache', 'Build cache by app', status.cache, (cache) => cachePart(context, cache))}
        ${teams && section('cache-teams', 'Build cache by team', teams)}
        ${isWhole && section('removals', 'What was removed', await partOf(commands.removals(caller), removalsPart))}
        ${section('problems', 'Problems of deployments', await partOf(failed, ({ deployments }) => problemsPart(deployments)))}
        ${section('doctor', 'Doctor', doctorForm(context))}
        ${part('fly', 'Calls of Fly', status.fly, (fly) => flyPart(fly, status.startedAt))}
        ${part('mirror', 'Registry mirror', status.mirror, mirrorPart)}
        ${part('limits', 'Limits', status.sizes, limitsPart)}
        ${part('versions', 'Versions', status.versions, versionsPart)}`,
    }
  },
}

/** One part of the status. Absent: this gateway, or the caller, has none. */
const part = <Facts extends object>(
  id: string,
  title: string,
  facts: Facts | Unknown | undefined,
  show: (facts: Facts) => Html,
): Html | false => facts !== undefined && section(id, title, known(facts, show))
