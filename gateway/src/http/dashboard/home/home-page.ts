import type { AppSummary } from '#api/overview/overview.ts'
import { type Deployment, DeploymentState, isFinal } from '#api/deployment.ts'
import { cancelCells } from '../lists/cancel-cell.ts'
import { numberLink } from '../lists/deployment-link.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { releaseMark, stateMark } from '../parts/mark.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { section, table } from '../parts/tables.ts'
import { runningSince, timeOf } from '../parts/time.ts'
import { sharedHome } from './shared-home.ts'
import { noApps } from './no-apps.ts'

const appsShown = 50
const runningShown = 20
const failuresShown = 5
/** No stream reports all apps, so the page asks again: often while something runs. */
const seconds = { busy: 3, quiet: 30 }

/** What runs where, what is on its way, and what failed last. */
export const homePage: Page = {
  path: addresses.home,
  section: 'apps',
  show: sharedHome(async (context) => {
    const [{ apps, next }, running, failed] = await Promise.all([
      context.commands.overview.apps(
        context.caller,
        {},
        { limit: appsShown, before: context.query.get('cursor') },
      ),
      inStates(
        context,
        DeploymentState.options.filter((state) => !isFinal(state)),
        runningShown,
      ),
      inStates(context, ['build_failed', 'deploy_failed'], failuresShown),
    ])
    const isEmpty = apps.length + running.length + failed.length === 0
    return {
      title: 'Apps',
      isBusy: running.length > 0,
      live: { seconds: running.length > 0 ? seconds.busy : seconds.quiet },
      body: html`<h1>Apps</h1>
        ${running.length > 0 ? section('running', 'On the way', await runningTable(context, running)) : html`<section id="running" data-part hidden></section>`}
        ${isEmpty ? section('apps', 'Nothing is deployed yet', noApps(context)) : section('apps', 'What runs', appsTable(apps, next))}
        ${failed.length > 0 && section('failed', 'Failed last', failedTable(failed))}`,
    }
  }),
}

/** The newest deployments in these states, newest first. */
async function inStates(
  { commands, caller }: PageContext,
  states: readonly DeploymentState[],
  limit: number,
): Promise<Deployment[]> {
  const page = { limit, before: null }
  return (await commands.overview.deployments(caller, { state: states }, page)).deployments
}

async function runningTable(context: PageContext, running: Deployment[]): Promise<Html> {
  const cancel = await cancelCells(context, running)
  return table(
    'Deployments on the way',
    ['Deployment', 'State', 'For', 'By', 'Action'],
    running.map((each, at) => [
      numberLink(each),
      stateMark(each.state),
      runningSince(each.stateSince ?? each.createdAt),
      each.triggeredBy?.name ?? '',
      cancel[at]!,
    ]),
  )
}

const failedTable = (failed: Deployment[]): Html =>
  html`${table(
      'Deployments that failed last',
      ['Deployment', 'State', 'Why', 'When'],
      failed.map((each) => [
        numberLink(each),
        stateMark(each.state),
        each.problem?.title ?? '',
        timeOf(each.endedAt ?? each.updatedAt),
      ]),
    )}
    <p><a href="${addressOf('deployments')}">All deployments</a></p>`

const appsTable = (apps: AppSummary[], next: string | null): Html =>
  html`${table(
    'Apps',
    ['App', 'Release', 'Newest deployment', 'When', 'Address'],
    apps.map(({ app, deployment, release, owners }) => [
      html`<a href="${addressOf('app', { app })}">${app}</a>`,
      releaseCell(release, owners),
      html`<a href="${addressOf('deployment', { id: deployment.id })}"
          >${stateMark(deployment.state)}</a
        >${deployment.owner && html` for ${deployment.owner}`}`,
      timeOf(deployment.createdAt),
      deployment.url ? html`<a href="${deployment.url}">${deployment.url}</a>` : '',
    ]),
  )}${next && html`<p><a href="${addressOf('home', {}, { cursor: next })}">More apps</a></p>`}`

function releaseCell(release: AppSummary['release'], owners: number): Html {
  const ofOwners = owners > 0 && `${owners} ${owners === 1 ? 'owner' : 'owners'}`
  if (!release) return html`${ofOwners || 'none'}`
  return html`${release.number} ${releaseMark(release.state)}${ofOwners && ` and ${ofOwners}`}`
}
