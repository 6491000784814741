import { type MadeToken, Rotation } from '#api/callers/token.ts'
import { readRequest } from '../../body/read-request.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Action, ShownPage } from '../parts/page.ts'
import { command, section } from '../parts/tables.ts'
import { readNewToken } from './new-token-form.ts'
import { tokenFacts } from './token-page.ts'

export const createToken: Action = {
  path: addresses.createToken,
  section: 'callers',
  async act({ commands, caller, gateway }, form) {
    return madePage(await commands.tokens.create(caller, readNewToken(form)), gateway)
  },
}

export const rotateToken: Action = {
  path: addresses.rotateToken,
  section: 'callers',
  async act({ commands, caller, params, gateway }, form) {
    const how = readRequest(Rotation, { overlap: form.get('overlap') ?? '' })
    return madePage(await commands.tokens.rotate(caller, params['token'] ?? '', how), gateway)
  },
}

export const revokeToken: Action = {
  path: addresses.revokeToken,
  section: 'callers',
  async act({ commands, caller, params }) {
    const { id, name, stillValid } = await commands.tokens.revoke(caller, params['token'] ?? '')
    if (stillValid.length === 0) return addressOf('token', { token: id })
    return {
      title: `Token ${name} is revoked`,
      body: html`<h1>Token ${name} is revoked</h1>
        <p>It has made others, which go on. Revoke each that should end too:</p>
        <ul>
          ${stillValid.map((other) => html`<li><a href="${addressOf('token', { token: other })}">${other}</a></li>`)}
        </ul>`,
    }
  },
}

/** Shows a token this once. */
const madePage = (token: MadeToken, gateway: string): ShownPage => ({
  title: `Token ${token.name}`,
  body: html`<p class="crumbs"><a href="${addressOf('callers')}">Callers</a></p>
    <h1>Token ${token.name}</h1>
    <p>Copy it now. The gateway does not show it again.</p>
    ${command(`export TARMAC_GATEWAY=${gateway}\nexport TARMAC_TOKEN=${token.token}`)}
    ${token.notes?.map((note) => html`<p class="lines">${note}</p>`)}
    ${section('facts', 'Facts', tokenFacts(token))}`,
})
