import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { section } from '../parts/tables.ts'
import { buildsPart } from './builds-part.ts'
import { metricsPart } from './metrics-part.ts'
import { phasesPart } from './phases-part.ts'

const deploymentsInPictures = 30
const minutes = 60

/** Pictures of the last deployments of an app, or of one owner in it: what the
 * machines use, where the time goes, and what builds use. */
export async function appPictures(
  { commands, caller }: Pick<PageContext, 'commands' | 'caller'>,
  { app, owner }: { app: string; owner: string | null },
): Promise<Html> {
  const recent = commands
    .deployments(caller, app, { limit: deploymentsInPictures, before: null })
    .then(({ deployments }) => deployments.filter((each) => owner === null || each.owner === owner))
  const metrics = commands.machines.metrics(caller, app, { owner, minutes })
  const [used, phases, builds] = await Promise.all([
    partOf(metrics, metricsPart),
    partOf(recent, phasesPart),
    partOf(recent, buildsPart),
  ])
  return html`${section('used', 'Memory and CPU', used)}
  ${section('phases', 'Where the time goes', phases)} ${section('builds', 'Builds', builds)}`
}
