/**
 * What the pages do beyond showing: times in the reader's zone, durations that count on, and news. All
 * of it is on top of whole pages: without this script they read the same, and are reloaded by hand.
 */

import { durationText } from '../parts/duration.ts'
import { fresh, isStale, staleSince } from './stale.ts'
import { followEvents, news } from './stream.ts'

const main = document.querySelector('main')!

// The page of a form that was refused is at the address of the form, where nothing can be read.
if (main.dataset['page']) history.replaceState(null, '', main.dataset['page'])
showTimes(document)
setInterval(countOn, 1000)
if (main.dataset['events']) followNews(main.dataset['events'])
else if (main.dataset['seconds']) askAgain(Number(main.dataset['seconds']))

/** Shows times in the reader's zone and language. The title keeps UTC. */
function showTimes(root: ParentNode): void {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
  for (const time of root.querySelectorAll('time')) {
    time.title = time.dateTime
    time.textContent = format.format(new Date(time.dateTime))
  }
}

function countOn(): void {
  if (isStale()) return
  for (const span of document.querySelectorAll<HTMLElement>('[data-since]'))
    span.textContent = durationText(Date.now() - Date.parse(span.dataset['since']!), 0)
  for (const span of document.querySelectorAll<HTMLElement>('[data-until]'))
    span.textContent = durationText(Date.parse(span.dataset['until']!) - Date.now(), 0)
}

/** Asks for the page again when something but the output of a log has changed. */
function followNews(address: string): void {
  followEvents(address, {
    types: news,
    take: refreshSoon,
    ended: refreshSoon,
    refused: () => void refresh(),
  })
}

/**
 * For what no stream reports. A page that nobody uses pauses: each question keeps the builder's machine
 * awake, which costs money.
 */
function askAgain(seconds: number): void {
  const pauseMs = 15 * 60_000
  let timer: ReturnType<typeof setTimeout>
  let usedAt = Date.now()
  const look = async () => {
    clearTimeout(timer)
    if (document.hidden) return
    if (Date.now() - usedAt > pauseMs)
      return staleSince('The page has paused, because nobody has used it for 15 minutes.')
    await refresh()
    timer = setTimeout(look, 1000 * Number(main.dataset['seconds'] ?? seconds))
  }
  const use = () => {
    const hasPaused = Date.now() - usedAt > pauseMs
    usedAt = Date.now()
    if (hasPaused) void look()
  }
  for (const type of ['pointermove', 'pointerdown', 'keydown', 'scroll'])
    document.addEventListener(type, use, { passive: true })
  document.addEventListener('visibilitychange', () => {
    usedAt = Date.now()
    void look()
  })
  timer = setTimeout(look, 1000 * seconds)
}

let coming: ReturnType<typeof setTimeout> | undefined

/** Many events come together. */
export function refreshSoon(): void {
  coming ??= setTimeout(() => {
    coming = undefined
    void refresh()
  }, 150)
}

/** Asks for the page again, and replaces its parts that have changed. */
export async function refresh(): Promise<void> {
  try {
    const answer = await fetch(location.href, { headers: { 'Tarmac-Refresh': '1' } })
    if (answer.status === 401) return staleSince('The session has ended.', 'Log in again')
    if (!answer.ok) return staleSince(`The gateway answers with ${answer.status}.`)
    replaceParts(new DOMParser().parseFromString(await answer.text(), 'text/html'))
    fresh()
  } catch {
    staleSince('The gateway does not answer.')
  }
}

function replaceParts(page: Document): void {
  showTimes(page)
  const seconds = page.querySelector('main')?.dataset['seconds']
  if (seconds) main.dataset['seconds'] = seconds
  for (const part of page.querySelectorAll('[data-part]')) {
    const shown = document.getElementById(part.id)
    if (!shown || isInUse(shown)) continue
    for (const open of shown.querySelectorAll('details[open][id]'))
      part.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute('open', '')
    if (!shown.isEqualNode(part)) shown.replaceWith(document.adoptNode(part))
  }
  document.dispatchEvent(new Event('tarmac:refreshed'))
}

/** What the reader is just using stays as it is: where the focus is, and forms that are not sent. */
function isInUse(part: HTMLElement): boolean {
  if (part.contains(document.activeElement) || part.querySelector('[data-refused]')) return true
  const fields = part.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>('input, textarea')
  return [...fields].some(
    (field) =>
      field.value !== field.defaultValue ||
      (field instanceof HTMLInputElement && field.checked !== field.defaultChecked),
  )
}
