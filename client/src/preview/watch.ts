import { setTimeout as sleep } from 'node:timers/promises'
import type { Preview } from '#api/previews/preview.ts'
import { Problem } from '#api/problem.ts'
import { askPreview, type Calling, listPreviews, readStats } from './preview-calls.ts'
import { countAndAge, countText, previewLines, stuckLines } from './render-previews.ts'

const lookMs = 2000

/**
 * Shows the previews that have not ended until an interrupt: in place on a terminal, else one line for
 * each change.
 */
export async function watchPreviews(app: string | null, calling: Calling): Promise<number> {
  const { printer, signal } = calling
  const changes = new Changes(calling)
  let missing = ''
  for (;;) {
    try {
      const { stats, living } = await look(app, calling)
      const lines = [
        `${stats.at.slice(11, 19)} UTC: ${countAndAge(stats)}`,
        ...stuckLines(stats),
        '',
        ...previewLines({ previews: living, next: null }, Date.now()),
      ]
      if (printer.screen) printer.screen(lines)
      else await changes.print(living, [countText(stats), ...stuckLines(stats)])
      missing = ''
    } catch (error) {
      const isPassing = error instanceof Problem && error.status >= 500
      if (signal.aborted || !isPassing) throw error
      if (error.message !== missing) printer.note(`${error.message} Trying again.`)
      missing = error.message
    }
    await sleep(lookMs, undefined, { signal })
  }
}

async function look(app: string | null, calling: Calling) {
  const filter = app === null ? {} : { app }
  const stats = await readStats(calling, new URLSearchParams(filter))
  const living: Preview[] = []
  const query = new URLSearchParams({ ...filter, state: 'living', limit: '100' })
  for (;;) {
    const { previews, next } = await listPreviews(calling, query)
    living.push(...previews)
    if (next === null) return { stats, living }
    query.set('cursor', next)
  }
}

/** Prints what is new since the last look. */
class Changes {
  readonly #calling: Calling
  readonly #states = new Map<string, string>()
  readonly #said = new Set<string>()

  constructor(calling: Calling) {
    this.#calling = calling
  }

  /** `summary`: lines that are printed when they are new. */
  async print(living: Preview[], summary: string[]): Promise<void> {
    const gone = [...this.#states.keys()].filter((id) => !living.some((each) => each.id === id))
    const ended = gone.map((id) => askPreview(this.#calling, ['GET', 'preview', id]))
    for (const preview of [...living.toReversed(), ...(await Promise.all(ended))])
      this.#note(preview)
    for (const id of gone) this.#states.delete(id)
    for (const text of summary.filter((line) => !this.#said.has(line)))
      this.#calling.printer.note(text)
    this.#said.clear()
    for (const text of summary) this.#said.add(text)
  }

  #note(preview: Preview): void {
    const { id, app, owner, state, url, problem } = preview
    if (this.#states.get(id) === state) return
    this.#states.set(id, state)
    const why = problem ? `: ${problem.detail}` : ''
    const where = state === 'ready' && url ? `: ${url}` : why
    this.#calling.printer.progress({ preview }, `${id} of ${app} for ${owner} is ${state}${where}`)
  }
}
