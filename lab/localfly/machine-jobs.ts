import type { FlyState, Machine, MachineState } from './state.ts'

/** Runs each machine's jobs in sequence. */
export class MachineJobs {
  readonly #state: FlyState
  readonly #queues = new Map<string, Promise<void>>()
  /** Each machine's newest job. Only that job decides the resting state of the machine. */
  readonly #newest = new Map<string, symbol>()
  readonly #closing = new AbortController()
  /** Aborted when localfly ends. Jobs that have not begun are dropped. */
  readonly closing = this.#closing.signal

  constructor(state: FlyState) {
    this.#state = state
  }

  end(): void {
    this.#closing.abort()
  }

  async ended(): Promise<void> {
    await Promise.all(this.#queues.values())
  }

  /** Queues a job that ends in a resting state. A failed job leaves the machine `failed`. */
  add(machine: Machine, passing: MachineState, job: () => Promise<MachineState>): void {
    const turn = Symbol(passing)
    this.#newest.set(machine.id, turn)
    machine.state = passing
    this.#state.save(machine)
    this.queue(machine, async () => {
      const rest = await job().catch((error: unknown): MachineState => {
        this.closing.throwIfAborted()
        const type = passing === 'created' ? 'launch' : 'start'
        this.#state.addEvent(machine, type, 'failed', 'flyd', { error: lastLine(error) })
        return 'failed'
      })
      if (this.closing.aborted || this.#newest.get(machine.id) !== turn) return
      machine.state = rest
      this.#state.save(machine)
    })
  }

  queue(machine: Machine, job: () => Promise<void>): void {
    const before = this.#queues.get(machine.id) ?? Promise.resolve()
    const turn = before.then(() => (this.closing.aborted ? undefined : job()))
    this.#queues.set(
      machine.id,
      turn.catch((error: unknown) => this.report(machine, error)),
    )
  }

  report(machine: Machine, error: unknown): void {
    if (!this.closing.aborted) console.error(`localfly: machine ${machine.id}:`, error)
  }
}

function lastLine(error: unknown): string {
  const { stderr, message } = error as Error & { stderr?: string }
  return stderr?.trim().split('\n').at(-1) || message
}
