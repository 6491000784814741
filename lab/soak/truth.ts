import type { Deployment } from '#api/deployment.ts'
import type { MachineFacts } from '#api/machines/deployed-machine.ts'
import {
  heldLeases,
  machinesIn,
  misrun,
  podmanOf,
  untilRight,
  wrongContainers,
} from '../at-rest.ts'
import type { Podman } from '../localfly/podman.ts'
import type { Machine } from '../localfly/state.ts'
import type { Lab } from '../start-lab.ts'
import { readPage } from '../use-lab.ts'

/** What an app answers: its page, and each machine's image by digest. */
export type Served = { page: string; machines: Map<string, string> }

/**
 * The real state, whatever records say: localfly's own state, podman's containers, the pages
 * through the proxy.
 */
export class Truth {
  readonly #lab: Lab
  readonly #podman: Podman

  constructor(lab: Lab) {
    this.#lab = lab
    this.#podman = podmanOf(lab.dir)
  }

  /**
   * Compares the verdict with the real state. Live means this page and image on every machine. Any
   * other verdict means the earlier ones.
   */
  async check(
    app: string,
    deployment: Deployment,
    page: string,
    before: Served | null,
  ): Promise<{ served: Served | null; wrong: string[] }> {
    const { state, problem, image, machines: facts } = deployment
    const isStuck = problem?.code === 'rollback-failed'
    const kept = facts.filter(({ outcome }) => outcome !== 'removed')
    const after = new Map(kept.map(({ id }) => [id, image?.digest ?? '']))
    const claimed = state === 'live' ? { page, machines: after } : before
    const wrong = isStuck
      ? await this.#stuckAsSaid(app, facts, before)
      : await this.#differences(app, claimed, before, state === 'live')
    wrong.push(...(await heldLeases(this.#lab.dir, app)))
    return { served: claimed, wrong }
  }

  /** Everything that is not reported as stuck must be unchanged. */
  async #stuckAsSaid(app: string, facts: MachineFacts[], before: Served | null): Promise<string[]> {
    const machines = await this.#machinesOf(app)
    const stuck = new Set(facts.filter(({ outcome }) => outcome === 'stuck').map(({ id }) => id))
    const digests = new Map(machines.map(({ id, image_ref }) => [id, image_ref.digest]))
    const ids = new Set([...digests.keys(), ...(before?.machines.keys() ?? [])])
    const wrong = [...ids].filter(
      (id) => !stuck.has(id) && digests.get(id) !== before?.machines.get(id),
    )
    return [
      ...(stuck.size === 0 ? ['the rollback failed, and no machine is reported as stuck'] : []),
      ...wrong.map(
        (id) => `machine ${id} is not reported as stuck, and runs ${digests.get(id) ?? 'nothing'}`,
      ),
    ]
  }

  async look(app: string): Promise<Served | null> {
    const machines = await this.#machinesOf(app)
    if (machines.length === 0) return null
    const { body } = await readPage(this.#lab, app)
    return {
      page: body.trim(),
      machines: new Map(machines.map(({ id, image_ref }) => [id, image_ref.digest])),
    }
  }

  /** Containers that differ from their machines, and leases that somebody still holds. */
  async strays(): Promise<string[]> {
    const { dir } = this.#lab
    return [...(await wrongContainers(dir)), ...(await heldLeases(dir))]
  }

  /** A machine that a fault just killed will soon be back. A wrong page or image stays wrong. */
  #differences(
    app: string,
    claimed: Served | null,
    before: Served | null,
    live: boolean,
  ): Promise<string[]> {
    return untilRight(async () => {
      const wrong = await this.#differencesNow(app, claimed)
      if (live && before && claimed && claimed.machines.size !== before.machines.size)
        wrong.push(
          `${before.machines.size} machines before, ${claimed.machines.size} in the record`,
        )
      return wrong
    })
  }

  async #differencesNow(app: string, claimed: Served | null): Promise<string[]> {
    const machines = await this.#machinesOf(app)
    const running = await this.#podman.running()
    const wanted = claimed?.machines ?? new Map<string, string>()
    const wrong = [...wanted].flatMap(([id, digest]) => {
      const machine = machines.find((each) => each.id === id)
      if (!machine) return [`machine ${id} is not there`]
      if (machine.state !== 'started') return [`machine ${id} is ${machine.state}`]
      if (machine.image_ref.digest !== digest)
        return [`machine ${id} is on ${machine.image_ref.digest}, not ${digest}`]
      return misrun(machine, running)
    })
    wrong.push(
      ...machines
        .filter(({ id }) => !wanted.has(id))
        .map(({ id, name }) => `stray machine ${id} (${name})`),
    )
    const pages = await Promise.all(
      Array.from({ length: 2 * wanted.size }, () => readPage(this.#lab, app)),
    )
    for (const { status, body } of pages)
      if (status !== 200 || body.trim() !== claimed?.page)
        wrong.push(`the page is ${status} ${body.trim().slice(0, 200)}`)
    return wrong
  }

  async #machinesOf(app: string): Promise<Machine[]> {
    return (await machinesIn(this.#lab.dir)).filter(({ own }) => own.app === app)
  }
}
