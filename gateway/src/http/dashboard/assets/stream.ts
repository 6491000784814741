import { fresh, staleSince } from './stale.ts'

/** The events that change more of a page than its log. */
export const news = ['state', 'plan', 'machine', 'waiting', 'warning', 'release', 'drift']
const retryMs = 5000

type Follower = {
  types: readonly string[]
  take: (event: MessageEvent<string>) => void
  /** The log is complete. */
  ended: () => void
  /** The gateway gives no events, for example because the session has ended. */
  refused: () => void
}

/**
 * Follows the events of a log. A page that nobody sees follows nothing: a browser has few connections
 * to one host. After each break it goes on after the last event that it has got.
 */
export function followEvents(address: string, { types, take, ended, refused }: Follower): void {
  const url = new URL(address, location.href)
  let source: EventSource | null = null
  let isOver = false
  let lastId = url.searchParams.get('after') ?? '0'

  const open = () => {
    if (isOver || document.hidden || source) return
    url.searchParams.set('after', lastId)
    source = new EventSource(url)
    source.addEventListener('open', fresh)
    source.addEventListener('error', () => {
      if (source?.readyState !== EventSource.CLOSED)
        return staleSince('The connection to the gateway is lost. Trying again.')
      // The browser tries again by itself, unless the gateway has refused.
      close()
      refused()
      setTimeout(open, retryMs)
    })
    for (const type of types)
      source.addEventListener(type, (event: MessageEvent<string>) => {
        lastId = event.lastEventId
        take(event)
      })
    source.addEventListener('unauthorized', refused)
    source.addEventListener('end', () => {
      isOver = true
      close()
      ended()
    })
  }
  const close = () => {
    source?.close()
    source = null
  }
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()))
  open()
}
