import type { ReleasedAgain } from '#api/runtime/released-again.ts'
import { html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { mark } from '../parts/mark.ts'
import type { ShownPage } from '../parts/page.ts'

/**
 * What a change of variables or secrets has made: the page that says so, or the address to go back to
 * if there is nothing to say.
 */
export function releasedAgain(
  what: string,
  back: string,
  { deployments, refused, notes, warnings = [] }: ReleasedAgain & { warnings?: string[] },
): ShownPage | string {
  if (deployments.length + refused.length + notes.length + warnings.length === 0) return back
  return {
    title: `${what} is changed`,
    body: html`<p class="crumbs"><a href="${back}">Back to the app</a></p>
      <h1>${what} is changed</h1>
      ${warnings.map((text) => html`<p class="lines">${mark('warning', 'warning')} ${text}</p>`)}
      ${deployments.map(({ id, owner }) => html`<p>Deployment ${deploymentLink(id)} brings it to ${owner ?? 'the machines of the app'}.</p>`)}
      ${refused.map(({ owner, problem }) => html`<p class="lines">${mark('bad', problem.title)} ${owner ?? 'The app itself'} got none: ${problem.detail}</p>`)}
      ${notes.map((note) => html`<p class="lines">${note}</p>`)}
      <p><a href="${back}">Back to the app</a></p>`,
  }
}
