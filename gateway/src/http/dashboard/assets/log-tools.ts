import type { LogSearch } from './log-search.ts'
import type { LogView } from './log-view.ts'

const part = (name: string) => document.querySelector<HTMLElement>(`#log-${name}`)!

/** The bar above the log: search, and following. */
export class LogTools {
  readonly #field = document.querySelector<HTMLInputElement>('#log-search')!
  readonly #found = part('found')
  readonly #view: LogView
  readonly #search: LogSearch
  /** Which match is shown. -1: none yet. */
  #at = -1
  #isDue = false

  constructor(view: LogView, search: LogSearch) {
    this.#view = view
    this.#search = search
    this.#field.addEventListener('input', () => this.#begin())
    this.#field.addEventListener('keydown', ({ key, shiftKey }) => {
      if (key === 'Enter') this.#go(shiftKey ? -1 : 1)
    })
    part('previous').addEventListener('click', () => this.#go(-1))
    part('next').addEventListener('click', () => this.#go(1))
    document.addEventListener('keydown', (event) => this.#findKey(event))

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
    if (this.#isDue || this.#search.needle === '') return
    this.#isDue = true
    setTimeout(() => {
      this.#isDue = false
      const hasMore = this.#search.more()
      this.#write()
      if (hasMore) this.look()
    })
  }

  #begin(): void {
    this.#at = -1
    this.#search.begin(this.#field.value)
    this.#view.highlight(this.#search.needle)
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
    const { needle, count } = this.#search
    const at = this.#at < 0 ? '' : `${this.#at + 1}/`
    this.#found.textContent = needle === '' ? '' : `${at}${count.toLocaleString('en')} lines`
  }

  /** Ctrl-F: the browser's own search knows only the lines that are drawn. A second one opens it. */
  #findKey(event: KeyboardEvent): void {
    const isFind = event.key === 'f' && (event.ctrlKey || event.metaKey) && !event.altKey
    if (!isFind || document.activeElement === this.#field) return
    event.preventDefault()
    this.#field.focus()
    this.#field.select()
  }
}
