import { PreviewAction } from '#api/previews/preview-calls.ts'
import type { Preview } from '#api/previews/preview.ts'
import { Problem } from '#api/problem.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { fieldProblem, textField } from '../forms/fields.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { uselessBecause } from './preview-words.ts'

const powerTexts: Record<PreviewAction, { label: string; text: string }> = {
  stop: {
    label: 'Stop it',
    text: 'Its machines stop, and cost nothing but their disk. It gets no requests, and none starts it. Its end stays.',
  },
  suspend: {
    label: 'Suspend it',
    text: 'Its machines stop with what is in their memory, and go on from there when it is started.',
  },
  start: {
    label: 'Start it',
    text: 'Its machines start. It answers within a minute, or is stopped again.',
  },
}

/** What can be done with a preview. A button that is of no use now says why. */
export const previewActionsPart = (context: PageContext, preview: Preview): Html =>
  html`${confirmForm(
    context,
    {
      id: 'extend',
      label: 'Extend…',
      action: addressOf('extendPreview', { id: preview.id }),
    },
    (typed) =>
      html`<p>
          It ends so much later than now, or after the gateway’s usual lifetime if the field is
          empty.
        </p>
        ${textField(typed, { name: 'minutes', label: 'Minutes from now', type: 'number', min: 1, max: 1_000_000 })}
        ${button('Extend it', uselessBecause('extend', preview))}`,
  )}
  ${PreviewAction.options.map((action) =>
    confirmForm(
      context,
      {
        id: action,
        label: `${powerTexts[action].label}…`,
        action: addressOf('powerPreview', { id: preview.id }),
        fixed: { action },
      },
      html`<p>${powerTexts[action].text}</p>
        ${button(powerTexts[action].label, uselessBecause(action, preview))}`,
    ),
  )}
  ${confirmForm(
    context,
    {
      id: 'destroy',
      label: 'Destroy…',
      action: addressOf('destroyPreview', { id: preview.id }),
    },
    html`<p>
        Its app on Fly, its machines and what they stored are deleted. This cannot be undone.
      </p>
      ${button('Destroy it', uselessBecause('destroy', preview))}`,
  )}`

const idOf = ({ params }: PageContext): string => params['id'] ?? ''
const backTo = (context: PageContext): string => addressOf('preview', { id: idOf(context) })

export const extendPreview: Action = {
  path: addresses.extendPreview,
  async act(context, form) {
    const minutes = form.get('minutes') ?? ''
    if (!/^\d{0,9}$/.test(minutes) || minutes === '0')
      throw fieldProblem('minutes', 'Minutes from now: a whole number, or nothing.')
    const ttlSeconds = minutes === '' ? null : Number(minutes) * 60
    await context.commands.previews.extend(context.caller, idOf(context), ttlSeconds)
    return backTo(context)
  },
}

export const changePower: Action = {
  path: addresses.powerPreview,
  async act(context, form) {
    const { data: action } = PreviewAction.safeParse(form.get('action'))
    if (!action)
      throw new Problem('option-invalid', `A preview can do ${PreviewAction.options.join(', ')}.`)
    await context.commands.previews.change(context.caller, idOf(context), action)
    return backTo(context)
  },
}

export const destroyPreview: Action = {
  path: addresses.destroyPreview,
  async act(context) {
    await context.commands.previews.destroy(context.caller, idOf(context))
    return backTo(context)
  },
}
