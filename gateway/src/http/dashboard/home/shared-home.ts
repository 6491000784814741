import { isLimited } from '../../../callers/principal.ts'
import type { PageContext, ShownPage } from '../parts/page.ts'

/** While something runs, the page says for how long, so it is made again. Else only a change matters. */
const keptMs = { busy: 1000, quiet: 60_000 }
const mostKept = 50

type Kept = { version: string; until: number; shown: Promise<ShownPage> }
type Show = (context: PageContext) => Promise<ShownPage>

const ofStores = new WeakMap<PageContext['store'], Map<string, Kept>>()

/**
 * Home is open in many browsers, and each asks for it every few seconds. Callers without a limit see
 * the same, so they share one answer, until a record changes.
 */
export const sharedHome =
  (show: Show): Show =>
  async (context) => {
    const { commands, caller, store, query, gateway } = context
    if (isLimited(caller)) return show(context)
    const refusal = await commands.whyNot.overview.apps(caller, {}, { limit: 1, before: null })
    if (refusal) throw refusal

    const all = ofStores.get(store) ?? new Map<string, Kept>()
    ofStores.set(store, all)
    // What can be cancelled depends on the scopes.
    const key = JSON.stringify([query.get('cursor'), gateway, caller.isOpen, caller.scopes])
    const [version, now] = [store.overview.version(), performance.now()]
    const known = all.get(key)
    if (known && known.version === version && now < known.until) return known.shown

    if (all.size >= mostKept) all.clear()
    const kept: Kept = { version, until: now + keptMs.busy, shown: show(context) }
    all.set(key, kept)
    const shown = await kept.shown.catch((error: unknown) => {
      all.delete(key)
      throw error
    })
    if (!shown.isBusy) kept.until = now + keptMs.quiet
    return shown
  }
