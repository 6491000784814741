import { AppName } from '#api/app.ts'
import type { ImageSource } from '#api/image-source.ts'
import { parseOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { readImageSource } from '../../body/read-source.ts'
import { wholeNumber } from '../../query.ts'
import { ownerOf } from '../app/owner-of.ts'
import { ownerField, textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Action, Page, PageContext } from '../parts/page.ts'
import { aboutDeployment, aboutTarget, ask } from './ask.ts'
import { requestKeyField, requestKeyOf } from './request-key.ts'
import { deploymentName, type Target, targetText } from './words.ts'

const appCodes = ['app-name-invalid', 'app-name-taken', 'app-not-found'] as const

export const deployElsewherePage: Page = {
  path: addresses.deployElsewhere,
  section: 'apps',
  assets: ['boards.css'],
  async show(context) {
    const source = sourceOf(context)
    const { what, about, from } = await described(context, source)
    return ask(context, {
      title: `Deploy ${what} elsewhere`,
      about,
      text: html`<p>
        The image of ${what} goes to the app that you name, with the settings and variables that it
        had. Nothing is built, and ${what} stays as it is. An app that does not exist is made. One
        that does gets a new release in the place of the one that it runs.
      </p>`,
      fields: (typed) =>
        html`${textField(typed, { name: 'app', label: 'App', required: true, maxlength: 63, codes: appCodes })}
        ${ownerField(typed)} ${requestKeyField()}`,
      button: 'Deploy it',
      disabledBecause: await elsewhereForbidden(context, source, from),
    })
  },
}

export const deployElsewhere: Action = {
  path: addresses.deployElsewhere,
  async act(context, form) {
    const { commands, caller } = context
    const source = sourceOf(context)
    const app = AppName.safeParse(form.get('app')?.trim())
    if (!app.success) throw new Problem('app-name-invalid', app.error.issues[0]!.message)
    const options = parseOptions({ owner: form.get('owner')?.trim() || null })
    const { id } = await commands.deployExisting(caller, source, {
      app: app.data,
      options,
      idempotencyKey: requestKeyOf(form),
      requestBody: { source, options },
    })
    return addressOf('deployment', { id })
  },
}

/** Why the caller may not deploy this, not even where it comes from. Null: it may. */
export async function elsewhereForbidden(
  { commands, caller }: PageContext,
  source: ImageSource,
  { app, owner }: Target,
): Promise<string | null> {
  const options = parseOptions({ owner })
  const target = { app, options, idempotencyKey: null, requestBody: null }
  return (await commands.whyNot.deployExisting(caller, source, target))?.message ?? null
}

/** What the address names: a deployment, or a release of a target. */
function sourceOf({ query }: PageContext): ImageSource {
  const [deployment, release] = [query.get('deployment'), query.get('release')]
  if (release === null) return readImageSource(deployment === null ? {} : { deployment })
  const [app, owner] = [query.get('app') ?? '', ownerOf(query)]
  return readImageSource({ release: wholeNumber('release', release), app, owner })
}

/** Its name and its page. Throws for what does not exist, or has no image. */
async function described({ commands, caller, query }: PageContext, source: ImageSource) {
  if ('deployment' in source) {
    const from = await commands.deployment(caller, source.deployment)
    if (!from.image) throw new Problem('no-image', `Deployment ${from.id} has no image.`)
    return { what: deploymentName(from), about: aboutDeployment(from), from }
  }
  const from = { app: query.get('app') ?? '', owner: ownerOf(query) }
  const { number } = await commands.release(
    caller,
    from,
    wholeNumber('release', query.get('release') ?? ''),
  )
  return { what: `release ${number} of ${targetText(from)}`, about: aboutTarget(from), from }
}
