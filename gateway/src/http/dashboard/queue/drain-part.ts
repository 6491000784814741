import { type DrainFacts, drainLimits } from '#api/status/drain.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { fieldProblem, textField } from '../forms/fields.ts'
import { button, confirmForm, postForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { timeOf } from '../parts/time.ts'

/** Whether the gateway takes work, and the forms that empty it before it is replaced. */
export async function drainPart(context: PageContext, drain: DrainFacts): Promise<Html> {
  const { commands, caller } = context
  const mayNot = (await commands.whyNot.drain.end(caller))?.message ?? null
  const { state, since, stopsAt, endsAt, running, uploads, queued } = drain
  if (state === 'working')
    return html`<p>${mark('good', 'takes work')}</p>
      ${startForm(context, mayNot)}`
  return html`<p>
      ${mark(state === 'drained' ? 'over' : 'busy', state)} The gateway takes no new work
      ${since && html`since ${timeOf(since)}`}: ${running} running, ${uploads} uploads, ${queued}
      waiting. ${stopsAt && html`What still runs is stopped at ${timeOf(stopsAt)}.`}
      ${endsAt && html`Unless it is replaced, it takes work again at ${timeOf(endsAt)}.`}
    </p>
    ${postForm(
      context,
      addressOf('endDrain'),
      html`<p>The gateway takes work again at once, and goes on with what was stopped.</p>
        ${button('End the drain', mayNot)}`,
    )}`
}

const startForm = (context: PageContext, mayNot: string | null): Html =>
  confirmForm(
    context,
    { id: 'drain-form', label: 'Drain the gateway…', action: addressOf('startDrain') },
    (typed) =>
      html`<p>
          The gateway takes no new work, and answers callers with a time to try again. What runs may
          end within this time. Then it is stopped, and goes on after the drain or after the next
          start.
        </p>
        ${textField(typed, { name: 'limit', label: 'Seconds for what runs', type: 'number', min: 0, max: drainLimits.most, value: drainLimits.usual, required: true })}
        ${button('Drain it', mayNot)}`,
  )

export const startDrain: Action = {
  path: addresses.startDrain,
  async act({ commands, caller }, form) {
    const text = form.get('limit') ?? ''
    const seconds = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
    if (!(seconds <= drainLimits.most))
      throw fieldProblem(
        'limit',
        `The option limit is a number of seconds, at most ${drainLimits.most} (a day).`,
      )
    await commands.drain.start(caller, seconds * 1000)
    return addressOf('queue')
  },
}

export const endDrain: Action = {
  path: addresses.endDrain,
  async act({ commands, caller }) {
    await commands.drain.end(caller)
    return addressOf('queue')
  },
}
