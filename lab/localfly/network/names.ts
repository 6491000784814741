import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { namesOf } from './fly-names.ts'
import { insideNames } from './inside.ts'
import { networkOf } from './networks.ts'
import type { FlyState, Machine } from '../state.ts'

/**
 * The names of machines, as a hosts file that all machines of a network share and that is updated
 * in place. So they hold also for machines that outlive a killed localfly. `name-server.ts` knows
 * the same names, and those that are no machine's.
 */
export class InternalNames {
  readonly #state: FlyState
  readonly #host: string
  readonly #written = new Map<string, string>()

  /** `host` is where machines reach Fly's own services. */
  constructor(state: FlyState, host: string) {
    this.#state = state
    this.#host = host
  }

  /** The current hosts file of an app's network. */
  fileFor(app: string): string {
    const network = networkOf(this.#state, app)
    this.#write(network)
    return this.#file(network)
  }

  update(): void {
    for (const network of new Set(
      [...this.#state.apps.keys()].map((app) => networkOf(this.#state, app)),
    ))
      this.#write(network)
  }

  #file(network: string): string {
    return this.#state.folder('names', network.replace('/', '+'))
  }

  #write(network: string): void {
    const isIn = ({ own }: Machine) => networkOf(this.#state, own.app) === network
    const lines = [...this.#state.machines.values()]
      .filter(
        (machine) => isIn(machine) && (machine.state === 'started' || machine.state === 'starting'),
      )
      .map((machine) => `${machine.private_ip} ${machine.id} ${namesOf(machine).join(' ')}\n`)
    const text = `127.0.0.1 localhost\n::1 localhost\n${insideNames(this.#host)}${lines.join('')}`
    if (this.#written.get(network) === text) return
    const file = this.#file(network)
    mkdirSync(dirname(file), { recursive: true })
    // Written in place, not replaced, because containers have mounted this very file.
    writeFileSync(file, text)
    this.#written.set(network, text)
  }
}
