import { AppName } from '#api/app.ts'
import type { AppDrift, DriftList } from '#api/drift/drift-list.ts'
import type { DriftFinding } from '#api/drift/finding.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { appLink } from '../lists/deployment-link.ts'
import { button, confirmForm, field } from '../parts/form.ts'
import { firstCommand } from '../lists/first-command.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { Action, Page, PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { facts, section } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** Apps for which Fly has something else than Tarmac expects. `?app=`: also looks at it now. */
export const driftPage: Page = {
  path: addresses.drift,
  section: 'drift',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, query } = context
    const list = await commands.drift.list(caller)
    const app = query.get('app')
    return {
      title: 'Drift',
      body: html`<h1>Drift</h1>
        <form class="filter" method="get" action="${addressOf('drift')}">
          ${field('App', html`<input name="app" value="${app}" required />`)}
          <button>Look now</button>
        </form>
        ${app !== null && section('now', 'Found just now', await partOf(look(context, app), (now) => now))}
        ${section('apps', 'At the last daily look', await listPart(context, list))}`,
    }
  },
}

async function look(context: PageContext, given: string): Promise<Html> {
  const app = AppName.safeParse(given).success ? given : given.slice(0, 100)
  const { findings, deploying } = await context.commands.drift.report(context.caller, app)
  return html`<h3>${appLink(app)}</h3>
    ${findings.length > 0 ? findings.map(findingText) : html`<p>${mark('good', 'no drift')}</p>`}
    ${deploying && html`<p class="quiet">A deployment changes machines now, so nothing new is said about them.</p>`}
    ${await acceptForm(context, app, findings)}`
}

async function listPart(
  context: PageContext,
  { checkedAt, looked, apps }: DriftList,
): Promise<Html> {
  const when =
    checkedAt === null
      ? html`The gateway looks once a day at all apps with releases. It has not done so yet.`
      : html`${looked !== null && `${looked} apps, `}at ${timeOf(checkedAt)}.`
  if (apps.length > 0)
    return html`<p class="quiet">${when}</p>
      ${await Promise.all(apps.map((each) => appPart(context, each)))}`
  if (checkedAt !== null) return html`<p>${mark('good', 'no drift')} ${when}</p>`
  return firstCommand(
    'Nothing was looked at yet. To look at an app now, here above or:',
    context.gateway,
    'tarmac drift my-app',
  )
}

const appPart = async (
  context: PageContext,
  { app, lookedAt, findings, problem }: AppDrift,
): Promise<Html> =>
  html`<h3>${appLink(app)}</h3>
    ${problem !== null && html`<p class="lines">${mark('warning', 'not looked at')} ${problem}</p>`}
    ${findings.map(findingText)}
    <p class="quiet">
      Looked at ${timeOf(lookedAt)}. <a href="${addressOf('drift', {}, { app })}">Look now</a>
    </p>
    ${await acceptForm(context, app, findings)}`

const findingText = ({ code, text, expected, found, advice, since }: DriftFinding): Html =>
  html`<p>${mark('warning', code)} ${text} ${advice}</p>
    ${facts([
      ['Expected', expected],
      ['Found', found],
      ['Since', since && timeOf(since)],
    ])}`

/** What `accept` can settle: addresses and hostnames. */
const acceptable = /^(?:public-address|flycast|certificate)/

/** `from`: the page that it is on, to come back to. False: there is nothing to accept. */
export async function acceptForm(
  context: PageContext,
  app: string,
  findings: DriftFinding[],
  from: 'drift' | 'app' = 'drift',
): Promise<Html | false> {
  if (findings.length === 0) return false
  const forbidden = await context.commands.whyNot.drift.accept(context.caller, app)
  const useless = findings.some(({ code }) => acceptable.test(code))
    ? null
    : 'Nothing here is about an address or a hostname.'
  return confirmForm(
    context,
    {
      id: `accept-${app}`,
      label: 'Accept…',
      action: addressOf('acceptDrift', { app }),
      fixed: { from },
    },
    html`<p>
        The addresses and hostnames that ${app} has at Fly now are expected from now on. Nothing
        changes at Fly. Machines that differ stay in this list.
      </p>
      ${button('Accept them', forbidden?.message ?? useless)}`,
  )
}

export const acceptDrift: Action = {
  path: addresses.acceptDrift,
  section: 'drift',
  async act({ commands, caller, params }, form) {
    const app = params['app'] ?? ''
    await commands.drift.accept(caller, app)
    return form.get('from') === 'app'
      ? `${addressOf('app', { app })}#drift`
      : addressOf('drift', {}, { app })
  },
}
