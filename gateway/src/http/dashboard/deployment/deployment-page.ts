import { type Deployment, isFinal } from '#api/deployment.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { stateMark } from '../parts/mark.ts'
import type { Page, ShownPage } from '../parts/page.ts'
import { section } from '../parts/tables.ts'
import { actionsPart } from './actions.ts'
import { factsPart } from './facts-part.ts'
import { logAssets, logPart, lookAtLog } from './log-part.ts'
import { machinesPart } from './machines-part.ts'
import { sinceFacts } from './since-facts.ts'
import { statusStrip } from './status-strip.ts'
import { verdictPart } from './verdict-part.ts'

/** One deployment: where it is, why it failed, what it was made of and what it changed. */
export const deploymentPage: Page = {
  path: addresses.deployment,
  section: 'apps',
  assets: logAssets,
  async show(context) {
    const { commands, caller, params, isRefresh } = context
    const deployment = await commands.deployment(caller, params['id'] ?? '')
    const { id, app, number } = deployment
    const log = await lookAtLog(context, deployment)
    const [actions, since] = await Promise.all([
      actionsPart(context, deployment),
      sinceFacts(context, deployment),
    ])
    return {
      title: `${app} #${number}`,
      ...liveOf(deployment, log.missing !== null),
      body: html`${titlePart(deployment)} ${statusStrip(deployment, log.waiting)}
        ${verdictPart(deployment)} ${actions}
        ${section('facts', 'Facts', factsPart(deployment, { since, currency: context.currency }))}
        ${deployment.machines.length > 0 ? section('machines', 'Machines', machinesPart(deployment)) : html`<section id="machines" data-part hidden></section>`}
        ${!isRefresh && logPart(deployment, log)}
        <p class="quiet">Deployment <code>${id}</code></p>`,
    }
  },
}

/** The script of the log asks for news of the rest too. Without a log the page looks now and then. */
const liveOf = ({ state }: Deployment, isWithoutLog: boolean): Pick<ShownPage, 'live'> =>
  isWithoutLog && !isFinal(state) ? { live: { seconds: 5 } } : {}

const titlePart = ({ app, number, owner, state, url }: Deployment): Html =>
  html`<div id="title" data-part>
    <p class="crumbs">
      <a href="${addressOf('home')}">Apps</a> /
      <a href="${addressOf('app', { app }, { owner })}">${app}</a>${owner && html` / ${owner}`}
    </p>
    <h1>Deployment #${number} ${stateMark(state)}</h1>
    ${state === 'live' && url && html`<p><a href="${url}">${url}</a></p>`}
  </div>`
