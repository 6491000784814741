import type { LineLook } from './log-rows.ts'

/** How this browser shows logs. */
export type LogLook = Pick<LineLook, 'times'> & { isWrapped: boolean }

const key = 'tarmac-log-look'

/** As it was last. A phone wraps lines at first. */
export function readLogLook(): LogLook {
  try {
    const [times, wrap] = (localStorage.getItem(key) ?? '').split(' ')
    if (times === 'off' || times === 'clock' || times === 'elapsed')
      return { times, isWrapped: wrap === 'wrap' }
  } catch {
    // the browser keeps nothing for this page
  }
  return { times: 'off', isWrapped: innerWidth < 640 }
}

export function rememberLogLook({ times, isWrapped }: LogLook): void {
  try {
    localStorage.setItem(key, `${times} ${isWrapped ? 'wrap' : 'whole'}`)
  } catch {
    // as above
  }
}
