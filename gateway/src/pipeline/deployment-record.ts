import type { DeploymentState } from '#api/deployment.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { stopReason } from '../deployments/stop.ts'
import type { Claim, DeploymentPatch, DeploymentStore } from '../deployments/store.ts'
import { retryWhileUnavailable } from './retry-unavailable.ts'

type Patch = DeploymentPatch & { reason?: string }
type RecordDeps = {
  store: Pick<DeploymentStore, 'advance' | 'amend' | 'find'>
  /** Writes the log's events so far. The log says what happened before a state ended. */
  flushLog: () => Promise<void>
  /** How long a write is retried: a full disk must not end the deployment. */
  unavailableMs: number
  signal: AbortSignal
}

/** Another runner has claimed the deployment: stop, and write nothing more. */
export class ClaimLost extends Error {}

/** The record of a claimed deployment. It moves from state to state, one move after another. */
export class DeploymentRecord {
  readonly #app: string
  readonly #holder: { id: string; epoch: number }
  readonly #deps: RecordDeps
  #state: DeploymentState
  #moves: Promise<void> = Promise.resolve()

  constructor({ deployment: { id, app, state }, epoch }: Claim, deps: RecordDeps) {
    this.#app = app
    this.#holder = { id, epoch }
    this.#deps = deps
    this.#state = state
  }

  get state(): DeploymentState {
    return this.#state
  }

  /**
   * Moves after all earlier moves. If one of them failed, throws its error. Throws the stop reason
   * if a stop request forbids the move, and `ClaimLost`.
   */
  transition(to: DeploymentState, patch: Patch = {}): Promise<void> {
    this.#moves = this.#moves.then(() => this.#move(to, patch))
    return this.#moves
  }

  /** For a caller that cannot wait for a move. `settled` throws its error. */
  queue(to: DeploymentState): void {
    this.transition(to).catch(() => {})
  }

  /** Waits for the moves so far. Throws the error of the first that failed. */
  settled(): Promise<void> {
    return this.#moves
  }

  /** Adds facts without a move. Throws `ClaimLost`. */
  async amend(patch: DeploymentPatch): Promise<void> {
    if (!(await this.#write((store) => store.amend(this.#holder, patch)))) throw new ClaimLost()
  }

  /** The last move, after a failure. Written at once or not at all, even if the signal has fired. */
  async end(to: DeploymentState, patch: Patch): Promise<void> {
    await this.#deps.store.advance(this.#holder, this.#state, to, patch)
  }

  async #move(to: DeploymentState, patch: Patch): Promise<void> {
    await this.#deps.flushLog()
    if (!(await this.#write((store) => store.advance(this.#holder, this.#state, to, patch)))) {
      const found = await this.#deps.store.find(this.#holder.id)
      throw (found && stopReason(found)) ?? new ClaimLost()
    }
    this.#state = to
    crashPoint('in-state', `${this.#app}/${to}`)
  }

  #write(write: (store: RecordDeps['store']) => Promise<boolean>): Promise<boolean> {
    const { store, unavailableMs, signal } = this.#deps
    return retryWhileUnavailable(
      () => write(store),
      unavailableMs,
      () => {},
      signal,
    )
  }
}
