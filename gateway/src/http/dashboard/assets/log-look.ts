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

/**
 * Lets the log have the whole window, until Escape. Nothing behind it takes the focus. It is not the
 * browser's own full screen, which phones do not have.
 */
export function allowWholeWindow(section: HTMLElement, button: HTMLElement): void {
  const set = (isWhole: boolean) => {
    button.ariaPressed = String(isWhole)
    section.classList.toggle('whole', isWhole)
    document.documentElement.classList.toggle('behind', isWhole)
    const besides = [...document.body.children, ...section.parentElement!.children]
    for (const each of besides)
      if (each instanceof HTMLElement && !each.contains(section) && each.id !== 'stale')
        each.inert = isWhole
  }
  const isWhole = () => button.ariaPressed === 'true'
  set(false)
  button.addEventListener('click', () => set(!isWhole()))
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape' && isWhole()) set(false)
  })
  // Parts of the page that a refresh has replaced.
  document.addEventListener('tarmac:refreshed', () => isWhole() && set(true))
}
