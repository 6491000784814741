import { parseOptions } from '#api/options.ts'
import { aboutTarget, ask } from '../actions/ask.ts'
import { requestKeyField, requestKeyOf } from '../actions/request-key.ts'
import { machinesText, newestRelease } from '../actions/words.ts'
import { textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Action, Page, PageContext } from '../parts/page.ts'
import { wholeNumber } from '../../query.ts'

type Target = { app: string; owner: string }

/** Gives an owner a release of the app itself: `tarmac owner move`. */
export const moveOwnerPage: Page = {
  path: addresses.moveOwner,
  section: 'apps',
  assets: ['boards.css'],
  async show(context) {
    const { params } = context
    const target = { app: params['app'] ?? '', owner: params['owner'] ?? '' }
    const { app, owner } = target
    const newest = await newestRelease(context, { app, owner: null })
    return ask(context, {
      title: `Move ${owner} to a release of ${app}`,
      about: aboutTarget(target),
      text: html`<p>
          The image and the settings of a release of ${app} itself go to the machines of ${owner},
          as a new deployment. Nothing is built. Its volumes stay, and if the new version does not
          become healthy, its machines get the old one back.
        </p>
        ${await machinesText(context, target)}`,
      fields: (typed) =>
        html`${textField(typed, { name: 'release', label: `Release of ${app}`, type: 'number', min: 1, required: true, value: newest?.number ?? null, codes: ['release-not-found'] })}
        ${requestKeyField()}`,
      button: 'Move it',
      disabledBecause:
        (await moveForbidden(context, target)) ??
        (newest ? null : `${app} itself has no release. Deploy it first, or deploy to ${owner}.`),
    })
  },
}

export const moveOwner: Action = {
  path: addresses.moveOwner,
  async act(context, form) {
    const { app = '', owner = '' } = context.params
    const release = wholeNumber('release', form.get('release') ?? '')
    const { source, options } = requestFor({ app, owner }, release)
    const { id } = await context.commands.deployExisting(context.caller, source, {
      app,
      options,
      idempotencyKey: requestKeyOf(form),
      requestBody: { source, options },
    })
    return addressOf('deployment', { id })
  },
}

/** Why the caller may not do it. Null: it may. */
export async function moveForbidden(
  { commands, caller }: PageContext,
  target: Target,
): Promise<string | null> {
  const { source, options } = requestFor(target, 1)
  const about = { app: target.app, options, idempotencyKey: null, requestBody: null }
  return (await commands.whyNot.deployExisting(caller, source, about))?.message ?? null
}

const requestFor = ({ app, owner }: Target, release: number) => ({
  source: { release, app },
  options: parseOptions({ owner }),
})
