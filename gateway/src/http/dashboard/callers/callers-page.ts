import type { LimitsAnswer } from '#api/callers/limits.ts'
import { addresses } from '../parts/addresses.ts'
import { cursorOf } from '../lists/cursor.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { facts, section } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { newRuleForm } from './new-rule-form.ts'
import { quotasTable } from './quotas-part.ts'
import { newTokenForm } from './new-token-form.ts'
import { rulesPart } from './rules-part.ts'
import { teamsPart } from './teams-part.ts'
import { tokensPart } from './tokens-part.ts'

const tokensShown = 50

/** Who may call the gateway: tokens, rules, teams, and the reader's own rights. */
export const callersPage: Page = {
  path: addresses.callers,
  section: 'callers',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, query } = context
    const all = query.get('all') === 'true'
    const page = { limit: tokensShown, before: cursorOf(query), all }
    const [own, limits, tokens, rules, newRule, teams] = await Promise.all([
      ownPart(context),
      partOf(commands.limits.read(caller), limitsPart),
      partOf(commands.tokens.list(caller, page), (found) => tokensPart(context, found, all)),
      partOf(commands.rules.list(caller), (found) => rulesPart(context, found)),
      newRuleForm(context),
      partOf(commands.teams.list(caller), (found) => teamsPart(context, found)),
    ])
    return {
      title: 'Callers',
      body: html`<h1>Callers</h1>
        ${section('own', 'You', html`${own} ${limits}`)} ${section('tokens', 'Tokens', tokens)}
        ${section('new-token', 'New token', newTokenForm(context))}
        ${section('rules', 'Rules', html`${rules} ${newRule}`)} ${section('teams', 'Teams', teams)}`,
    }
  },
}

/** What the caller may use, and has used. Nothing, if no quota limits it. */
const limitsPart = ({ quotas }: LimitsAnswer): Html =>
  quotas.every(({ limit }) => limit === null)
    ? html`<p class="quiet">No quota limits you.</p>`
    : quotasTable(quotas)

async function ownPart({ commands, caller }: PageContext): Promise<Html> {
  const own = await commands.whoami(caller)
  return facts([
    ['Name', own.name],
    ['Proved by', own.provedBy],
    ['Scopes', own.scopes.join(', ') || 'none'],
    ['Apps', own.apps?.join(', ') ?? 'all'],
    ['Owners', own.owners?.join(', ') ?? 'all'],
    ['Teams', own.teams?.join(', ') ?? 'all'],
    ['Ends', own.expiresAt && timeOf(own.expiresAt)],
    ['Address', own.address],
  ])
}
