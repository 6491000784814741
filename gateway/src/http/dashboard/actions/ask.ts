import { addressOf } from '../parts/addresses.ts'
import { button, postForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext, Refused, ShownPage } from '../parts/page.ts'
import { deploymentName, type Named, type Target, targetText } from './words.ts'

type Question = {
  title: string
  /** The page that it is about. */
  about: { address: string; name: string }
  /** What exactly will happen. */
  text: Html
  /** Of the form, beside its button. */
  fields?: Html | ((typed: Refused | null) => Html)
  button: string
  disabledBecause: string | null
  /** What to look at before: below the form. */
  more?: Html | false
}

/** A page that says what will happen, and does it when its form is sent. Works without JavaScript. */
export const ask = (context: PageContext, question: Question): ShownPage => {
  const { title, about, text, fields, disabledBecause, more } = question
  return {
    title,
    body: html`<p class="crumbs">
        <a href="${addressOf('home')}">Apps</a> / <a href="${about.address}">${about.name}</a>
      </p>
      <h1>${title}</h1>
      ${text}
      ${postForm(context, context.here, (typed) => html`${typeof fields === 'function' ? fields(typed) : fields} ${button(question.button, disabledBecause)}`)}
      <p><a href="${about.address}">Leave it as it is</a></p>
      ${more}`,
  }
}

export const aboutDeployment = (deployment: Named) => ({
  address: addressOf('deployment', { id: deployment.id }),
  name: deploymentName(deployment),
})
export const aboutTarget = (target: Target) => ({
  address: addressOf('app', { app: target.app }, { owner: target.owner }),
  name: targetText(target),
})

/** A link to such a page. `disabledBecause`: why it is of no use now, or not allowed. Null: neither. */
export type AskLink = { label: string; address: string; disabledBecause: string | null }

/** First the links that can be used. The others are buttons, with one sentence for those of one reason. */
export function askLinks(links: AskLink[]): Html {
  const groups = Map.groupBy(links, ({ disabledBecause }) => disabledBecause)
  const usable = groups.get(null) ?? []
  groups.delete(null)
  return html`<div class="actions">
    ${usable.map(({ label, address }) => html`<a class="button" href="${address}">${label}</a>`)}
    ${[...groups].map(
      ([why, all]) =>
        html`<span
          >${all.map(({ label }) => html`<button disabled>${label}</button> `)}
          <span class="quiet">${why}</span></span
        >`,
    )}
  </div>`
}
