import type { Removal, RemovalReason, Removals } from '#api/status/disk/removals.ts'
import { appLink } from '../lists/deployment-link.ts'
import { html, type Html } from '../parts/html.ts'
import { sizeText } from '../parts/size.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

const shown = 50

const reasons: Record<RemovalReason, string> = {
  unused: 'nothing needed it any more',
  'app-limit': 'an app had more of the cache than it may',
  'team-share': 'a team had more than its share of the cache',
  disk: 'the disk was short',
  asked: 'a caller dropped it',
  daemon: 'the build daemon’s own rules',
  old: 'its time was over',
}
const names: Record<Removal['what'], [one: string, several: string]> = {
  cache: ['part of the build cache', 'parts of the build cache'],
  sources: ['source', 'sources'],
  uploads: ['unfinished upload', 'unfinished uploads'],
  logs: ['log of a deployment', 'logs of deployments'],
}

/** What was removed from the disk: when, why and how much. */
export function removalsPart({ removals }: Removals): Html {
  if (removals.length === 0)
    return html`<p class="quiet">Nothing was removed in the last 14 days.</p>`
  const bytes = removals.reduce((sum, each) => sum + (each.bytes ?? 0), 0)
  return html`<p>
      ${sizeText(bytes)} in ${removals.length} ${removals.length === 1 ? 'removal' : 'removals'}
      since ${timeOf(removals.at(-1)!.at)}.
    </p>
    <details id="all-removals" open>
      <summary>The newest ${Math.min(shown, removals.length)}</summary>
      ${table(
        'What was removed, newest first',
        ['When', 'What', 'Size', 'Why', 'App'],
        removals
          .slice(0, shown)
          .map(({ at, what, why, app, count, bytes: size }) => [
            timeOf(at),
            `${count} ${names[what][count === 1 ? 0 : 1]}`,
            size === null ? 'not measured' : sizeText(size),
            reasons[why],
            app === null ? '' : appLink(app),
          ]),
      )}
    </details>`
}
