import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'

type Listed = { id: string; cancel?: object | null }

/**
 * For each row of a list of deployments that have not ended: the way to the page that asks before it
 * cancels it. Empty where the caller may not.
 */
export async function cancelCells(
  { commands, caller }: PageContext,
  listed: readonly Listed[],
): Promise<(Html | string)[]> {
  const request = { by: null, why: null, abort: false }
  return Promise.all(
    listed.map(async ({ id, cancel = null }) => {
      if (cancel !== null) return 'stopping'
      const forbidden = await commands.whyNot.cancel(caller, id, request)
      return forbidden ? '' : html`<a href="${addressOf('cancel', { id })}">Cancel…</a>`
    }),
  )
}
