import type { MachinesApi } from '#fly/machines-api.ts'

/** The machine that has a private address. */
export type MachineAt = { app: string; id: string; name: string | null; org: string }

/** So long an answer of Fly holds: an address may pass to another machine. */
const heldMs = 30_000
/** Fly is asked at most so often about addresses that it did not know. */
const cooldownMs = 5000
const askMs = 10_000

type Deps = {
  fly: Pick<MachinesApi, 'orgMachines'>
  org: string
  now?: () => number
}

/** Finds machines of the organisation by their 6PN address. Throws `fly-unavailable`. */
export class PrivateAddresses {
  readonly #fly
  readonly #org
  readonly #now
  #machines = new Map<string, MachineAt>()
  #readAt = -Infinity
  #reading: Promise<void> | null = null

  constructor({ fly, org, now = Date.now }: Deps) {
    this.#fly = fly
    this.#org = org
    this.#now = now
  }

  async find(address: string): Promise<MachineAt | null> {
    const key = sameAddress(address)
    const age = this.#now() - this.#readAt
    const isKnown = this.#machines.has(key)
    if (age >= (isKnown ? heldMs : cooldownMs)) {
      this.#reading ??= this.#read().finally(() => (this.#reading = null))
      await this.#reading
    }
    return this.#machines.get(key) ?? null
  }

  async #read(): Promise<void> {
    const org = this.#org
    const all = await this.#fly.orgMachines(org, null, AbortSignal.timeout(askMs))
    const running = all.filter(({ state }) => state !== 'destroyed' && state !== 'destroying')
    this.#machines = new Map(
      running.flatMap(({ private_ip: address, app_name: app, id, name = null }) =>
        address ? [[sameAddress(address), { app, id, name, org }]] : [],
      ),
    )
    this.#readAt = this.#now()
  }
}

/** One spelling of an IPv6 address. */
const sameAddress = (address: string): string =>
  URL.parse(`http://[${address}]/`)?.hostname ?? address
