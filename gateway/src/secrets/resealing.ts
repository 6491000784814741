import { setImmediate } from 'node:timers/promises'
import { errorMessage } from '#api/error-code.ts'
import type { SealingStatus } from '#api/sealing/sealing.ts'
import { someOf } from '#api/text/some-of.ts'
import { keyKeptMs } from '../deployments/idempotency.ts'
import type { SealedStore, SealedValue } from '../deployments/sealing/sealed-store.ts'
import type { Logger } from '../log.ts'
import type { SealingKeys } from './sealing.ts'

type Deps = {
  store: SealedStore
  sealing: SealingKeys
  log: Pick<Logger, 'info' | 'error'>
  now?: () => number
}

/** So many values in one transaction: others wait for it. */
const batch = 50
/** So many values are named that cannot be opened. */
const maxNamed = 10

/**
 * Seals with the new key what older keys sealed. It may end anywhere: each value is replaced in one
 * step, and both keys are known until no value needs the old one.
 */
export class Resealing {
  readonly #deps: Deps
  readonly #since: string | null

  private constructor(deps: Deps, since: string | null) {
    this.#deps = deps
    this.#since = since
  }

  /** Says in the log what cannot be opened. */
  static async open(deps: Deps): Promise<Resealing> {
    const { store, sealing, log } = deps
    const since = sealing.currentId === null ? null : await store.useKey(sealing.currentId)
    const resealing = new Resealing(deps, since)
    const { problem } = await resealing.status()
    if (problem !== null) log.error({ problem }, 'sealed values cannot be opened')
    return resealing
  }

  /** Seals again all that needs it. What cannot be opened stays as it is. */
  async run(stopping: AbortSignal): Promise<void> {
    const { store, sealing, log } = this.#deps
    const { currentId } = sealing
    if (currentId === null) return
    let [after, done]: [SealedValue | null, number] = [null, 0]
    while (!stopping.aborted) {
      const values: SealedValue[] = await store.sealedByOthers(currentId, after, batch)
      const last = values.at(-1)
      if (!last) break
      done += await store.reseal(values.flatMap((value) => this.#sealedAgain(value)))
      after = last
      await setImmediate() // requests go first
    }
    if (done > 0) log.info({ values: done, keyId: currentId }, 'values sealed with the new key')
  }

  async status(): Promise<SealingStatus> {
    const { store, sealing, now = Date.now } = this.#deps
    const counts = await store.countByKey()
    const [current, ...old] = sealing.ids
    const unknown = [...counts.keys()].filter((keyId) => !sealing.ids.includes(keyId))
    const countOf = (keyIds: readonly string[]) =>
      keyIds.reduce((sum, keyId) => sum + (counts.get(keyId) ?? 0), 0)
    const withOldKeys = countOf(old)
    const dropAt = this.#since === null ? 0 : Date.parse(this.#since) + keyKeptMs
    return {
      keyId: current ?? null,
      since: this.#since,
      values: countOf([...counts.keys()]),
      oldKeys: old.length,
      withOldKeys,
      oldKeysNeededUntil:
        withOldKeys === 0 && old.length > 0 ? new Date(dropAt).toISOString() : null,
      oldKeysMayGo: old.length > 0 && withOldKeys === 0 && now() >= dropAt,
      problem: unknown.length > 0 ? await this.#problem(unknown, countOf(unknown)) : null,
    }
  }

  async #problem(unknown: string[], count: number): Promise<string> {
    const { store, sealing } = this.#deps
    const values: SealedValue[] = []
    for (let after: SealedValue | null = null; values.length < maxNamed;) {
      const page: SealedValue[] = await store.sealedByOthers(sealing.currentId ?? '', after, batch)
      values.push(...page.filter(({ keyId }) => unknown.includes(keyId)))
      after = page.at(-1) ?? null
      if (page.length < batch) break
    }
    const names = values
      .slice(0, maxNamed)
      .map(({ owner, name }) => `${owner.replace(':', ' ')}: ${name}`)
    const howTo =
      sealing.currentId === null
        ? 'Set TARMAC_SECRETS_KEY to it'
        : 'Add the key to TARMAC_SECRETS_OLD_KEYS'
    const more = count > names.length ? ` and ${count - names.length} more` : ''
    return `${count} sealed values cannot be opened, because the gateway lacks their key (${someOf(unknown, 5)}): ${names.join('; ')}${more}. Nothing was deleted. ${howTo} and start the gateway again, or store these values again.`
  }

  /** Empty: this gateway cannot open it. */
  #sealedAgain(before: SealedValue) {
    const { sealing, log } = this.#deps
    const { owner, name } = before
    if (!sealing.ids.includes(before.keyId)) return [] // `open` has said so
    try {
      const after = { name, ...sealing.seal(before, sealing.open(before, before)) }
      return [{ before, after }]
    } catch (error) {
      log.error({ owner, name, why: errorMessage(error) }, 'value not sealed again')
      return []
    }
  }
}
