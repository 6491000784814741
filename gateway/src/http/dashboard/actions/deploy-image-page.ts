import { parseOptions } from '#api/options.ts'
import { ownerField, textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Action, Page } from '../parts/page.ts'
import { ownerOf } from '../app/owner-of.ts'
import { aboutTarget, ask } from './ask.ts'
import { elsewhereForbidden } from './deploy-elsewhere-page.ts'
import { requestKeyField, requestKeyOf } from './request-key.ts'
import { machinesText, targetText } from './words.ts'

const imageCodes = [
  'request-invalid',
  'image-not-found',
  'image-forbidden',
  'image-unusable',
  'image-gone',
] as const

/** Deploys an image by its name to an app. */
export const deployImagePage: Page = {
  path: addresses.deployImage,
  section: 'apps',
  assets: ['boards.css'],
  async show(context) {
    const { params, query } = context
    const target = { app: params['app'] ?? '', owner: ownerOf(query) }
    return ask(context, {
      title: `Deploy an image to ${targetText(target)}`,
      about: aboutTarget(target),
      text: html`<p>
          The image is copied to the registry of ${target.app}, and goes to its machines with the
          settings and variables of the newest release. Nothing is built. If the new version does
          not become healthy, the machines get the old one back.
        </p>
        ${await machinesText(context, target)}`,
      fields: (typed) =>
        html`${textField(typed, { name: 'image', label: 'Image', required: true, maxlength: 500, placeholder: 'ghcr.io/acme/shop:v3', codes: imageCodes })}
        ${ownerField(typed, target.owner)} ${requestKeyField()}`,
      button: 'Deploy it',
      disabledBecause: await elsewhereForbidden(context, { image: 'any' }, target),
    })
  },
}

export const deployImage: Action = {
  path: addresses.deployImage,
  async act({ commands, caller, params }, form) {
    const source = { image: form.get('image')?.trim() ?? '' }
    const options = parseOptions({ owner: form.get('owner')?.trim() || null })
    const { id } = await commands.deployExisting(caller, source, {
      app: params['app'] ?? '',
      options,
      idempotencyKey: requestKeyOf(form),
      requestBody: { source, options },
    })
    return addressOf('deployment', { id })
  },
}
