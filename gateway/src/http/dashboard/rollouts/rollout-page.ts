import type { Rollout } from '#api/rollout.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { appLink } from '../lists/deployment-link.ts'
import { checkBox } from '../forms/fields.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, stateMark } from '../parts/mark.ts'
import type { Action, Page, PageContext } from '../parts/page.ts'
import { deploymentLink } from '../parts/links.ts'
import { facts, section, table } from '../parts/tables.ts'
import { runningSince, timeOf, tookText } from '../parts/time.ts'
import { rolloutMark } from './rollout-mark.ts'

const seconds = 3

type Target = Rollout['targets'][number]

/** One rollout: its targets by state, failed ones first. */
export const rolloutPage: Page = {
  path: addresses.rollout,
  section: 'rollouts',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params } = context
    const rollout = await commands.rollout(caller, params['id'] ?? '')
    const { id, endedAt, problem, targets } = rollout
    return {
      title: `Rollout ${id}`,
      ...(endedAt === null && { live: { seconds } }),
      body: html`<p class="crumbs"><a href="${addressOf('rollouts')}">Rollouts</a></p>
        <h1>Rollout ${id}</h1>
        ${section(
          'state',
          'State',
          html`<p>${rolloutMark(rollout)}</p>
            ${problem && html`<p class="lines">${problem.detail}</p>`} ${factsPart(rollout)}`,
        )}
        ${section('actions', 'What can be done', cancelPart(context, rollout))}
        ${section('targets', 'Targets', targetsTable(targets))}`,
    }
  },
}

const factsPart = (rollout: Rollout): Html => {
  const { createdAt, endedAt, counts, parallel, maxFailures, source, build, triggeredBy } = rollout
  return facts([
    [
      'Targets',
      Object.entries(counts)
        .map(([state, count]) => `${count} ${state.replace('_', ' ')}`)
        .join(', '),
    ],
    ['Image', sourceText(source)],
    ['Build', build && html`<a href="${addressOf('deployment', { id: build })}">${build}</a>`],
    ['At once', parallel],
    ['Stops after', `${maxFailures} ${maxFailures === 1 ? 'failure' : 'failures'}`],
    ['Made', timeOf(createdAt)],
    ['Took', endedAt === null ? runningSince(createdAt) : tookText(createdAt, endedAt)],
    ['By', triggeredBy?.name ?? null],
  ])
}

function sourceText(source: Rollout['source']): string {
  if (!source) return 'built from the source that was sent'
  if ('image' in source) return source.image
  if ('deployment' in source) return `of deployment ${source.deployment}`
  return `of release ${source.release}${source.app === undefined ? '' : ` of ${source.app}`}`
}

function targetsTable(targets: Target[]): Html {
  const order = ({ state }: Target) => (state.endsWith('failed') ? 0 : state === 'waiting' ? 2 : 1)
  return table(
    'Targets, failed ones first',
    ['Target', 'State', 'Deployment', 'Why', 'Address'],
    targets
      .toSorted((one, other) => order(one) - order(other))
      .map(({ app, owner, deployment, state, url, problem }) => [
        appLink(app, owner),
        state === 'waiting' ? mark('waiting', 'waiting') : stateMark(state),
        deployment === null ? '' : deploymentLink(deployment),
        problem?.title ?? '',
        url === null ? '' : html`<a href="${url}">${url}</a>`,
      ]),
  )
}

const cancelPart = (context: PageContext, { id, endedAt }: Rollout): Html =>
  confirmForm(
    context,
    { id: 'cancel', label: 'Cancel…', action: addressOf('cancelRollout', { id }) },
    (typed) =>
      html`<p>
          Targets that have not started are left out. Deployments that run are cancelled before they
          touch machines.
        </p>
        <p>
          ${checkBox(typed, { name: 'abort', label: 'Also those that change machines now: they are rolled back.', disabled: endedAt !== null })}
        </p>
        ${button('Cancel it', endedAt === null ? null : 'It has ended.')}`,
  )

export const cancelRollout: Action = {
  path: addresses.cancelRollout,
  async act({ commands, caller, params }, form) {
    const id = params['id'] ?? ''
    const abort = form.get('abort') === 'true'
    await commands.cancelRollout(caller, id, { by: null, why: null, abort })
    return addressOf('rollout', { id })
  },
}
