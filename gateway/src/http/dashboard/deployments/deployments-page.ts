import { type Deployment, DeploymentState } from '#api/deployment.ts'
import { DeploymentFilter, readFilter } from '#api/overview/overview.ts'
import { deploymentRows } from '../app/deployments-part.ts'
import { selectField, textField } from '../forms/fields.ts'
import { cursorOf } from '../lists/cursor.ts'
import { numberLink } from '../lists/deployment-link.ts'
import { firstCommand } from '../lists/first-command.ts'
import { given } from '../lists/given.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { stateWord } from '../parts/mark.ts'
import type { Page } from '../parts/page.ts'
import { section, table } from '../parts/tables.ts'

const shown = 50
const seconds = 15

/** Deployments of all apps, newest first, by a filter in the address. */
export const deploymentsPage: Page = {
  path: addresses.deployments,
  section: 'deployments',
  assets: ['boards.css'],
  async show({ commands, caller, query, gateway }) {
    const filter = readFilter(DeploymentFilter, given(query))
    const page = { limit: shown, before: cursorOf(query) }
    const { deployments, next } = await commands.overview.deployments(caller, filter, page)
    const isFiltered = Object.keys(filter).length > 0
    const older = addressOf(
      'deployments',
      {},
      { ...Object.fromEntries(given(query)), cursor: next },
    )
    return {
      title: 'Deployments',
      live: { seconds },
      body: html`<h1>Deployments</h1>
        ${filterForm(query)}
        ${section(
          'deployments',
          isFiltered ? 'Those that match' : 'All of them, newest first',
          deployments.length > 0
            ? html`${problemsText(deployments)} ${listOf(deployments)}
              ${next !== null && html`<p><a href="${older}">Older ones</a></p>`}`
            : firstCommand(
                isFiltered
                  ? 'None matches. To make one, go to a folder with a program, and type:'
                  : 'There is none yet. Go to a folder with a program, and type:',
                gateway,
                'tarmac deploy my-app',
              ),
        )}`,
    }
  },
}

const environments = [
  ['', 'any'],
  ['app', 'main machines'],
  ['owner', 'machines of a user'],
  ['preview', 'a preview'],
] as const

const filterForm = (query: URLSearchParams): Html => {
  const text = (name: string, label: string, placeholder = '') =>
    textField(null, { name, label, value: query.get(name), placeholder })
  const states = DeploymentState.options.map((state) => [state, stateWord(state)] as const)
  return html`<form class="filter" method="get" action="${addressOf('deployments')}" role="search">
    ${text('app', 'App', 'pr-*')} ${text('owner', 'Owner')}
    ${selectField(null, { name: 'state', label: 'State', value: query.get('state'), options: [['', 'any'], ...states] })}
    ${text('actor', 'By', 'token:*')} ${text('branch', 'Branch')}
    ${selectField(null, { name: 'environment', label: 'Environment', value: query.get('environment'), options: environments })}
    ${text('team', 'Team')}
    <button>Filter</button>
  </form>`
}

const listOf = (deployments: Deployment[]): Html =>
  table(
    'Deployments, newest first',
    ['Deployment', 'State', 'Took', 'When', 'By', 'What', 'Branch'],
    deployments.map((each) => [
      numberLink(each),
      ...deploymentRows(each),
      each.options.branch ?? '',
    ]),
  )

/** Which problems the failed ones of this page had, the most frequent first. */
function problemsText(deployments: Deployment[]): Html | false {
  const failed = deployments.filter(({ state }) => state.endsWith('_failed'))
  const byCode = Map.groupBy(failed, ({ problem }) => problem?.code ?? 'unknown')
  const counts = [...byCode].toSorted(([, one], [, other]) => other.length - one.length)
  return (
    counts.length > 0 &&
    html`<p>
      ${failed.length} of these ${deployments.length} failed:
      ${counts.map(([code, all], at) => html`${at > 0 && ', '}${all.length} <a href="/problems/${code}">${code}</a>`)}.
    </p>`
  )
}
