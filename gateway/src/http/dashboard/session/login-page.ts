import type { Request } from 'express'
import type { Problem } from '#api/problem.ts'
import { addressOf } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import { problemText } from '../parts/problem-page.ts'
import type { ShownPage } from '../parts/page.ts'

/** The form for a token. `next`: the page to show after it. `problem`: why the caller is here. */
export const loginPage = (next: string, problem: Problem | null): ShownPage => ({
  title: 'Log in',
  body: html`<div class="login">
    <h1>Log in</h1>
    ${problem && html`<div role="alert">${problemText(problem.body().title, problem.message, null)}</div>`}
    <form method="post" action="${addressOf('login')}">
      <input type="hidden" name="next" value="${next}" />
      <label for="token">Token</label>
      <input
        id="token"
        name="token"
        type="password"
        autocomplete="current-password"
        spellcheck="false"
        required
        autofocus
        maxlength="10000"
      />
      <button>Log in</button>
    </form>
    <p class="quiet">
      The token that you use for the client, as in <code>TARMAC_TOKEN</code>. The session lasts 12
      hours at most, and ends with the token. Without a token: ask the operator of this gateway for
      one (<code>tarmac token create</code>).
    </p>
  </div>`,
})

/** A page of the dashboard to go to: never another host. */
export function ownPage(next: string | null): string {
  const isOurs = next !== null && /^\/ui(?:[/?#][\x21-\x5b\x5d-\x7e]*)?$/.test(next)
  return isOurs && !next.startsWith(addressOf('login')) ? next : addressOf('home')
}

/** The page that a request comes from, or asks for, to go on there after the login. */
export function pageBefore({ method, url, headers }: Request): string {
  const before = URL.parse(headers.referer ?? '')
  const named = before && new URLSearchParams(before.search).get('next')
  if (method === 'GET') return ownPage(url)
  return ownPage(named ?? (before && before.pathname + before.search))
}
