import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { insideNames } from './inside.ts'
import type { FlyState, Machine } from './state.ts'

/**
 * Fly's internal names, as a hosts file that all machines of a network share and that is updated in
 * place: `<app>.internal`, `<region>.<app>.internal`, `<group>.process.<app>.internal`,
 * `<id>.vm.<app>.internal`. The rest of Fly's DNS is missing: no TXT records, no
 * `top<N>.nearest.of`, no look-up by metadata, no Flycast.
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
    const network = this.#state.apps.get(app)?.network ?? 'default'
    this.#write(network)
    return this.#state.folder('names', network)
  }

  update(): void {
    for (const network of new Set([...this.#state.apps.values()].map(({ network }) => network)))
      this.#write(network)
  }

  #write(network: string): void {
    const isIn = ({ own }: Machine) =>
      (this.#state.apps.get(own.app)?.network ?? 'default') === network
    const lines = [...this.#state.machines.values()]
      .filter(
        (machine) => isIn(machine) && (machine.state === 'started' || machine.state === 'starting'),
      )
      .map((machine) => `${machine.private_ip} ${machine.id} ${namesOf(machine).join(' ')}\n`)
    const text = `127.0.0.1 localhost\n::1 localhost\n${insideNames(this.#host)}${lines.join('')}`
    if (this.#written.get(network) === text) return
    const file = this.#state.folder('names', network)
    mkdirSync(dirname(file), { recursive: true })
    // Written in place, not replaced, because containers have mounted this very file.
    writeFileSync(file, text)
    this.#written.set(network, text)
  }
}

function namesOf({ id, region, state, config, own: { app } }: Machine): string[] {
  const own = `${id}.vm.${app}.internal`
  if (state !== 'started' || config.dns?.skip_registration) return [own]
  const group = config.metadata?.['fly_process_group']
  const groups = group ? [`${group}.process.${app}.internal`] : []
  return [own, `${app}.internal`, `${region}.${app}.internal`, ...groups]
}
