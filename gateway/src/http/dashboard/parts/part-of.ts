import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { html, type Html } from './html.ts'

/** A page does not wait longer for a part that asks Fly. */
const patienceMs = 4000

/**
 * One part of a page. If it cannot be read, or the caller may not, the part says why, and the rest of
 * the page stays.
 */
export async function partOf<T>(
  reading: Promise<T>,
  show: (read: T) => Html | Promise<Html>,
): Promise<Html> {
  const late = new AbortController()
  const lateness = sleep(patienceMs, null, { signal: late.signal }).catch(() => null)
  try {
    const shown = reading.then(show)
    shown.catch(() => {}) // a late failure concerns nobody
    const inTime = await Promise.race([shown, lateness])
    return (
      inTime ??
      html`<p class="quiet">The answer is not here yet. Load the page again to see it.</p>`
    )
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return html`<p class="quiet lines">${error.message}</p>`
  } finally {
    late.abort()
  }
}
