import type { TokenFacts } from '#api/callers/token.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { textField } from '../forms/fields.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { facts, section } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { reachOf, tokenMark } from './tokens-part.ts'

/** One token: what it may do, when it was used, and how to end or replace it. */
export const tokenPage: Page = {
  path: addresses.token,
  section: 'callers',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params } = context
    const token = await commands.tokens.find(caller, params['token'] ?? '')
    return {
      title: `Token ${token.name}`,
      body: html`<p class="crumbs"><a href="${addressOf('callers')}">Callers</a></p>
        <h1>Token ${token.name} ${tokenMark(token)}</h1>
        ${section('facts', 'Facts', tokenFacts(token))}
        ${section('actions', 'What can be done', actions(context, token))}`,
    }
  },
}

/** All that the gateway shows of a token after it was made. */
export const tokenFacts = (token: TokenFacts): Html =>
  facts([
    ['Id', token.id],
    ['Kind', token.kind === 'token' ? 'token' : 'deploy link: for one deployment'],
    ['May', token.scopes.join(', ')],
    ['Apps', reachOf(token)],
    ['Made', timeOf(token.createdAt)],
    ['Made by', token.createdBy],
    ['Used', token.lastUsedAt === null ? 'never' : timeOf(token.lastUsedAt)],
    ['Ends', token.expiresAt === null ? 'never' : timeOf(token.expiresAt)],
    ['New secret', token.rotatedAt && timeOf(token.rotatedAt)],
    ['Old secret until', token.oldSecretUntil && timeOf(token.oldSecretUntil)],
    ['Revoked', token.revokedAt && timeOf(token.revokedAt)],
    [
      'Deployment',
      token.deployment &&
        html`<a href="${addressOf('deployment', { id: token.deployment })}"
          >${token.deployment}</a
        >`,
    ],
  ])

function actions(context: PageContext, token: TokenFacts): Html {
  const isOver = token.state === 'revoked' || token.state === 'expired'
  const useless = isOver ? `It is ${token.state}.` : null
  return html`${confirmForm(
    context,
    {
      id: 'rotate',
      label: 'New secret…',
      action: addressOf('rotateToken', { token: token.id }),
    },
    (typed) =>
      html`<p>
          The token gets a new secret, which the next page shows once. The old one works for this
          time:
        </p>
        ${textField(typed, { name: 'overlap', label: 'Old secret works for', value: '0s', required: true, hint: 'A span like 30m or 12h. 0s: it ends at once.' })}
        ${button('Give it a new secret', token.kind === 'token' ? useless : 'A deploy link has one secret.')}`,
  )}
  ${confirmForm(
    context,
    {
      id: 'revoke',
      label: 'Revoke…',
      action: addressOf('revokeToken', { token: token.id }),
    },
    html`<p>
        The token ends at once, also for sessions and for logs that are being read with it.
        Deployments that run go on. Tokens that it has made go on: they have to be revoked
        themselves.
      </p>
      ${button('Revoke it', useless)}`,
  )}`
}
