import { removeAppCache } from '../builder/builder-actions.ts'
import { confirmField, fieldProblem } from '../forms/fields.ts'
import { addresses } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Action, Page } from '../parts/page.ts'
import { aboutTarget, ask } from './ask.ts'

export const dropCachePage: Page = {
  path: addresses.dropCache,
  section: 'apps',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params } = context
    const app = params['app'] ?? ''
    return ask(context, {
      title: `Drop the build cache of ${app}`,
      about: aboutTarget({ app, owner: null }),
      text: html`<p>
        What ${app} alone has in the build cache is removed, and cannot be had back. Its next build
        runs every step again. What it runs stays, and so does a build that runs now.
      </p>`,
      fields: (typed) => confirmField(typed, app),
      button: 'Drop its cache',
      disabledBecause: (await commands.whyNot.removeCache(caller, app))?.message ?? null,
    })
  },
}

export const dropCache: Action = {
  path: addresses.dropCache,
  section: 'apps',
  async act(context, form) {
    const app = context.params['app'] ?? ''
    if (form.get('confirm')?.trim() === app) return removeAppCache.act(context, form)
    throw fieldProblem('confirm', `To drop the build cache of ${app}, type its name.`)
  },
}
