import { PauseRequest, type QueuePause } from '#api/overview/queue.ts'
import { readRequest } from '../../body/read-request.ts'
import { textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmForm, postForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { timeOf } from '../parts/time.ts'

/** Above everything else on the page: it is why nothing moves. */
export const pausedNote = (pause: QueuePause | null): Html =>
  html`<div id="paused" data-part>
    ${
      pause &&
      html`<p>
        ${mark('warning', 'paused')} ${pause.by} paused the queue at
        ${timeOf(pause.at)}${pause.why !== null && `: ${pause.why}`}. <a href="#pause">Resume it</a>
      </p>`
    }
  </div>`

/** Whether what waits may start, and the form that changes it. */
export async function pausePart(context: PageContext, pause: QueuePause | null): Promise<Html> {
  const { commands, caller } = context
  if (pause) {
    const mayNot = await commands.whyNot.queue.resume(caller)
    return postForm(
      context,
      addressOf('resumeQueue'),
      html`<p>What waits starts again, in its order.</p>
        ${button('Resume the queue', mayNot?.message ?? null)}`,
    )
  }
  const mayNot = await commands.whyNot.queue.pause(caller, null)
  return confirmForm(
    context,
    { id: 'pause-form', label: 'Pause the queue…', action: addressOf('pauseQueue') },
    (typed) =>
      html`<p>
          Nothing that waits starts until somebody resumes the queue, also after a restart. What
          runs goes on. New deployments are accepted, and wait.
        </p>
        ${textField(typed, { name: 'why', label: 'Why', maxlength: 200, hint: 'Everybody who waits can read it.' })}
        ${button('Pause it', mayNot?.message ?? null)}`,
  )
}

export const pauseQueue: Action = {
  path: addresses.pauseQueue,
  async act({ commands, caller }, form) {
    const { why } = readRequest(PauseRequest, { why: form.get('why') })
    await commands.queue.pause(caller, why)
    return addressOf('queue')
  },
}

export const resumeQueue: Action = {
  path: addresses.resumeQueue,
  async act({ commands, caller }) {
    await commands.queue.resume(caller)
    return addressOf('queue')
  },
}
