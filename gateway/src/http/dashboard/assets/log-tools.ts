import { terminalText } from '#api/text/visible-text.ts'
import type { Group } from '../log/log-model.ts'
import { allowWholeWindow, readLogLook, type LogLook, rememberLogLook } from './log-look.ts'
import type { LogSearch } from './log-search.ts'
import type { LogView } from './log-view.ts'

const part = (name: string) => document.querySelector<HTMLElement>(`#log-${name}`)!

const sliceMs = 8

/** The bar above the log: search, times, wrapping, copying and following. */
export class LogTools {
  readonly #field = document.querySelector<HTMLInputElement>('#log-search')!
  readonly #found = part('found')
  readonly #view: LogView
  readonly #search: LogSearch
  #isPattern = false
  /** Which match is shown. -1: none yet. */
  #at = -1
  #isDue = false

  constructor(view: LogView, search: LogSearch, groups: readonly Group[]) {
    this.#view = view
    this.#search = search
    this.#field.addEventListener('input', () => this.#begin())
    this.#field.addEventListener('keydown', ({ key, shiftKey }) => {
      if (key === 'Enter') this.#go(shiftKey ? -1 : 1)
    })
    part('previous').addEventListener('click', () => this.#go(-1))
    part('next').addEventListener('click', () => this.#go(1))
    document.addEventListener('keydown', (event) => this.#findKey(event))
    toggle('pattern', false, (isPattern) => {
      this.#isPattern = isPattern
      this.#begin()
    })
    this.#offerLook(readLogLook())
    allowWholeWindow(document.querySelector<HTMLElement>('#log')!, part('whole'))
    part('copy').addEventListener('click', () => void this.#copy(groups))

    const follow = part('follow')
    view.onFollow = () => (follow.ariaPressed = String(view.isFollowing))
    follow.addEventListener('click', () => view.follow(!view.isFollowing))
    view.onFollow()
  }

  show(): void {
    part('tools').hidden = false
  }

  /** Searches in lines that have come, for a few milliseconds at a time. */
  look(): void {
    if (this.#isDue || this.#search.find === null) return
    this.#isDue = true
    setTimeout(() => {
      this.#isDue = false
      const hasMore = this.#search.more()
      this.#write()
      if (hasMore) this.look()
    })
  }

  /** Times and wrapping, as this browser had them last. */
  #offerLook(look: LogLook): void {
    const change = (next: Partial<LogLook>) => {
      Object.assign(look, next)
      this.#view.look(look)
      rememberLogLook(look)
    }
    const times = document.querySelector<HTMLSelectElement>('#log-times')!
    times.value = look.times
    times.addEventListener('change', () =>
      change({ times: times.value === 'clock' || times.value === 'elapsed' ? times.value : 'off' }),
    )
    toggle('wrap', look.isWrapped, (isWrapped) => change({ isWrapped }))
    this.#view.look(look)
  }

  #begin(): void {
    this.#at = -1
    try {
      this.#search.begin(this.#field.value, this.#isPattern)
      this.#field.ariaInvalid = null
    } catch {
      this.#field.ariaInvalid = 'true' // a regular expression that is not written to its end
    }
    this.#view.look({ find: this.#search.find })
    this.#write()
    this.look()
  }

  #go(step: 1 | -1): void {
    const match = this.#search.next(this.#at, step)
    if (!match) return
    this.#at = match.at
    this.#view.show(match.group, match.line)
    this.#write()
  }

  #write(): void {
    const { find, count } = this.#search
    const at = this.#at < 0 ? '' : `${this.#at + 1}/`
    const isWrong = this.#field.ariaInvalid === 'true'
    this.#found.textContent = isWrong
      ? 'no regular expression'
      : find === null
        ? ''
        : `${at}${count.toLocaleString('en')} lines`
  }

  /** Copies the steps that are open, also the lines that are not drawn. */
  async #copy(groups: readonly Group[]): Promise<void> {
    const lines = await openLines(groups.filter((group) => this.#view.isOpen(group)))
    try {
      await navigator.clipboard.writeText(`${lines.join('\n')}\n`)
      this.#found.textContent = `${lines.length.toLocaleString('en')} lines copied`
    } catch {
      // Without TLS a browser lets no page write there.
      this.#found.textContent = 'not copied: download it'
    }
  }

  /**
   * Ctrl-F and `/`: the browser's own search knows only the lines that are drawn. A second Ctrl-F opens
   * it.
   */
  #findKey(event: KeyboardEvent): void {
    const { key, ctrlKey, metaKey, altKey, target } = event
    const isTyping = target instanceof Element && target.matches('input, textarea, select')
    const isFind = key === 'f' && (ctrlKey || metaKey)
    const isSlash = key === '/' && !ctrlKey && !metaKey && !isTyping
    if (altKey || !(isFind || isSlash) || document.activeElement === this.#field) return
    event.preventDefault()
    this.#field.focus()
    this.#field.select()
  }
}

/** The lines of these steps, as a terminal shows them. Works for a few milliseconds at a time. */
async function openLines(groups: readonly Group[]): Promise<string[]> {
  const lines: string[] = []
  let until = performance.now() + sliceMs
  for (const { name, lines: own } of groups) {
    lines.push(`=> ${name}`)
    for (const { text } of own) {
      lines.push(terminalText(text))
      if (lines.length % 100 > 0 || performance.now() < until) continue
      await new Promise((resolve) => setTimeout(resolve))
      until = performance.now() + sliceMs
    }
  }
  return lines
}

/** A button that is on or off. */
function toggle(name: string, isOn: boolean, change: (isOn: boolean) => void): void {
  const button = part(name)
  button.ariaPressed = String(isOn)
  button.addEventListener('click', () => {
    button.ariaPressed = String(button.ariaPressed !== 'true')
    change(button.ariaPressed === 'true')
  })
}
