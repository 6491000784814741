/** The banner of a page that may be out of date. */
const stale = document.querySelector<HTMLElement>('#stale')!

/** Says that the page may be out of date, since when, and how to get a fresh one. */
export function staleSince(why: string, how = 'Load the page again'): void {
  if (!stale.hidden && stale.dataset['why'] === why) return
  const since = new Date().toLocaleTimeString()
  const link = document.createElement('a')
  link.href = location.href
  link.textContent = how
  stale.replaceChildren(`${why} This page shows what was so at ${since}. `, link)
  stale.dataset['why'] = why
  stale.hidden = false
}

export function fresh(): void {
  stale.hidden = true
}

export const isStale = (): boolean => !stale.hidden
