import { z } from 'zod'
import type { GatewayProcess } from './gateway-process.ts'
import type { Facts } from './load.ts'
import type { World } from './world.ts'

/** Finds machines that two owners had, and entries that a request had taken before. */
export class PoolOracle {
  readonly #world: World
  readonly #facts: Facts
  /** By machine: whose it is on Fly. */
  readonly #owners = new Map<string, string>()

  constructor(world: World, facts: Facts) {
    this.#world = world
    this.#facts = facts
  }

  look(): void {
    for (const { id, config: made, own } of this.#world.fly.state.machines.values()) {
      const owner = made.metadata?.['tarmac_preview_owner']
      const before = this.#owners.get(id)
      if (before !== undefined && before !== owner)
        this.#facts.faults.add(
          `TWO OWNERS: machine ${id} of ${own.app} was ${before}'s, and is ${owner ?? 'nobody'}'s`,
        )
      if (owner) this.#owners.set(id, owner)
    }
  }

  /** Whose preview an app on Fly is. A claimed machine says so a moment later. Null: it waits in a pool. */
  ownerOf(id: string, mark: string | undefined): string | null {
    return mark ?? this.#facts.known.get(id)?.preview.owner ?? null
  }

  /**
   * Whether an app that is no preview for callers waits in a pool: the records have its deployment,
   * and no preview has two. Null: the gateway did not answer, so nothing is known. The next look asks
   * again. A killed gateway cuts the request before its process is seen to end.
   */
  async isEntry(
    gateway: GatewayProcess,
    { id, name }: { id: string; name: string },
  ): Promise<boolean | null> {
    const { status, body } = await gateway.call('GET', `/v1/apps/${name}/deployments`)
    if (status === 0) return null
    const { deployments } = Deployments.catch({ deployments: [] }).parse(body)
    return status === 200 && deployments.length === 1 && deployments[0]?.preview?.id === id
  }
}

const Deployments = z.object({
  deployments: z.array(z.object({ preview: z.object({ id: z.string() }).nullable() })),
})
