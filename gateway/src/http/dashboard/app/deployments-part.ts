import type { Deployment } from '#api/deployment.ts'
import type { Target } from '../actions/words.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { stateMark } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'
import { timeOf, tookText } from '../parts/time.ts'

/** The deployments of an app and of its owners, newest first. */
export function deploymentsPart(
  { app, owner }: Target,
  all: Deployment[],
  next: string | null,
): Html {
  if (all.length === 0) return html`<p class="quiet">None.</p>`
  return html`${table(
    'Deployments',
    ['Deployment', 'State', 'Took', 'When', 'By', 'What'],
    all.map((each) => [
      html`<a href="${addressOf('deployment', { id: each.id })}">#${each.number}</a
        >${each.owner && html` for <a href="${addressOf('app', { app }, { owner: each.owner })}">${each.owner}</a>`}`,
      ...deploymentRows(each),
    ]),
  )}${next && html`<p><a href="${addressOf('app', { app }, { owner, cursor: next })}#deployments">Earlier deployments</a></p>`}`
}

/** The cells of one deployment after its name: state, time taken, when, who, what. */
export const deploymentRows = (each: Deployment): (Html | string)[] => [
  stateMark(each.state),
  each.endedAt === null ? '' : tookText(each.createdAt, each.endedAt),
  timeOf(each.createdAt),
  each.triggeredBy?.name ?? '',
  whatText(each),
]

/** In a few words: why it failed, else what was deployed. */
function whatText({ problem, rollback, retryOf, options, release }: Deployment): string {
  if (problem) return problem.title
  const { commit, message } = options
  const what = [
    release !== null && `release ${release}`,
    rollback && `rollback to release ${rollback.to}`,
    retryOf && 'retry',
    commit?.slice(0, 12),
    message?.split('\n', 1)[0]?.slice(0, 80),
  ]
  return what.filter(Boolean).join(', ')
}
