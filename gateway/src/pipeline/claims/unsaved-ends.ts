import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import type { Claim, DeploymentStore } from '../../deployments/store.ts'

type UnsavedEndsDeps = {
  store: Pick<DeploymentStore, 'recover' | 'giveUp'>
  /** After so many failures it is not the disk: the deployment ends as failed. */
  times: number
  everyMs: number
}

/** Recovers deployments whose end could not be written, for example because the disk was full. */
export class UnsavedEnds {
  readonly #deps: UnsavedEndsDeps
  /** How often writing the end of a deployment failed, by id. */
  readonly #failures = new Map<string, number>()

  constructor(deps: UnsavedEndsDeps) {
    this.#deps = deps
  }

  /**
   * Retries until the record can be written, then proceeds as after a crash. Returns what continues
   * now; nothing if the gateway stops first.
   */
  async claim(id: string, isOver: () => boolean): Promise<Claim[]> {
    while (!isOver()) {
      await sleep(this.#deps.everyMs)
      const claims = await this.#tryClaim(id).catch(() => null)
      if (claims) return claims
    }
    return []
  }

  async #tryClaim(id: string): Promise<Claim[]> {
    const { store, times } = this.#deps
    const claims = await store.recover('The gateway could not save how this ended', id)
    const failures = (this.#failures.get(id) ?? 0) + 1
    this.#failures.set(id, failures)
    if (failures < times) return claims
    const detail = `The gateway could not save the end of this deployment, ${failures} times. Its log says why.`
    await store.giveUp(id, new Problem('internal', detail).body())
    this.#failures.delete(id)
    return []
  }
}
