/**
 * What the pages do beyond showing: times in the reader's zone, durations that count on, and news. All
 * of it is on top of whole pages: without this script they read the same, and are reloaded by hand.
 */

const main = document.querySelector('main')!
const stale = document.querySelector<HTMLElement>('#stale')!

showTimes(document)
setInterval(countOn, 1000)
if (main.dataset['events']) followEvents(main.dataset['events'])
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
  if (!stale.hidden) return
  for (const span of document.querySelectorAll<HTMLElement>('[data-since]'))
    span.textContent = durationText(Date.now() - Date.parse(span.dataset['since']!))
}

/** As `parts/time.ts` on the server, by the second. */
function durationText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 60) return `${Math.floor(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48
    ? `${hours} h ${minutes % 60} min`
    : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/**
 * Follows a log, and asks for the page again when something but its output has changed. A page that
 * nobody sees follows nothing: a browser has few connections to one host. It goes on after the last
 * event that it has seen.
 */
function followEvents(address: string): void {
  const url = new URL(address, location.href)
  let source: EventSource | null = null
  let isOver = false

  const open = () => {
    if (isOver || document.hidden || source) return
    source = new EventSource(url)
    source.addEventListener('open', fresh)
    source.addEventListener('error', () => {
      // The browser tries again by itself, unless the gateway has refused.
      if (source?.readyState === EventSource.CLOSED) void refresh()
      else staleSince('The connection to the gateway is lost. Trying again.')
    })
    for (const type of ['state', 'plan', 'machine', 'waiting', 'warning', 'release', 'drift'])
      source.addEventListener(type, (event) => {
        url.searchParams.set('after', event.lastEventId)
        refreshSoon()
      })
    source.addEventListener('unauthorized', () => void refresh())
    source.addEventListener('end', () => {
      isOver = true
      close()
      refreshSoon()
    })
  }
  const close = () => {
    source?.close()
    source = null
  }
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()))
  open()
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
function refreshSoon(): void {
  coming ??= setTimeout(() => {
    coming = undefined
    void refresh()
  }, 150)
}

/** Asks for the page again, and replaces its parts that have changed. */
async function refresh(): Promise<void> {
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
    // What the reader is just using stays as it is.
    if (!shown || shown.contains(document.activeElement)) continue
    for (const open of shown.querySelectorAll('details[open][id]'))
      part.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute('open', '')
    if (!shown.isEqualNode(part)) shown.replaceWith(document.adoptNode(part))
  }
  document.dispatchEvent(new Event('tarmac:refreshed'))
}

/** Says that the page may be out of date, since when, and how to get a fresh one. */
function staleSince(why: string, how = 'Load the page again'): void {
  if (!stale.hidden && stale.dataset['why'] === why) return
  const since = new Date().toLocaleTimeString()
  const link = document.createElement('a')
  link.href = location.href
  link.textContent = how
  stale.replaceChildren(`${why} This page shows what was so at ${since}. `, link)
  stale.dataset['why'] = why
  stale.hidden = false
}

function fresh(): void {
  stale.hidden = true
}
