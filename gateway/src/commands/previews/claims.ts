import { crashPoint } from '#api/flow/crash-point.ts'
import type { Preview } from '#api/previews/preview.ts'
import { asProblem, Problem } from '#api/problem.ts'
import { configOf, type MachineRef } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { previewOwnerMark } from '../../deployments/previews/preview-names.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Logger } from '../../log.ts'
import { found } from '../machines/machine-power.ts'
import { untilAnswers } from '../machines/until-answers.ts'
import { findPreview } from './find-preview.ts'
import { markMachine } from './preview-marks.ts'

export type ClaimDeps = {
  fly: MachinesApi
  store: Pick<DeploymentStore, 'previews' | 'pools' | 'find'>
  log: Pick<Logger, 'error' | 'info'>
}

/** A machine that does not answer so soon is worth less than a new one. */
const startMs = 30_000
const marksMs = 60_000
/** A machine that was suspended answers at once. Fly allows five reads of a machine a second. */
const pollMs = 250

/** Starts the machines of previews that requests take from pools. */
export class Claims {
  readonly #deps: ClaimDeps
  /** By preview: requests with the same idempotency key wait for the same start. */
  readonly #starts = new Map<string, Promise<Preview>>()

  constructor(deps: ClaimDeps) {
    this.#deps = deps
  }

  /**
   * Starts a claimed preview, and returns it once it answers. Also one that a gateway before a crash
   * was starting. If that fails the preview is destroyed and nobody's, and this throws why.
   */
  start(preview: Preview): Promise<Preview> {
    const { id } = preview
    const running =
      this.#starts.get(id) ?? this.#start(preview).finally(() => this.#starts.delete(id))
    this.#starts.set(id, running)
    return running
  }

  async #start(preview: Preview): Promise<Preview> {
    const { fly, store, log } = this.#deps
    const { previews, pools } = store
    const { id, flyApp, deployment } = preview
    try {
      const made = (await store.find(deployment))?.machines ?? []
      const machines = made
        .filter(({ after }) => after !== null)
        .map((each) => ({ app: flyApp, id: each.id }))
      if (machines.length === 0)
        throw new Problem('machine-not-found', `Preview ${id} has no machine on record.`)
      const signal = AbortSignal.timeout(startMs)
      await Promise.all(machines.map((ref) => wake(ref, fly, signal)))
      crashPoint('claim-answers')
      const ready = await previews.move(id, ['starting'], 'ready')
      this.#mark(preview, machines)
      return ready ?? (await findPreview(previews, id)) // its end has come meanwhile
    } catch (error) {
      log.error({ err: error, preview: id }, 'preview of a pool did not start, and is destroyed')
      if (await pools.giveUp(preview, asProblem(error).body())) throw error
      return findPreview(previews, id) // its end has come meanwhile
    }
  }

  /** Nobody waits for this. What fails is repeated by the next sweep. */
  #mark(preview: Preview, machines: readonly MachineRef[]): void {
    const { fly, log } = this.#deps
    const signal = AbortSignal.timeout(marksMs)
    const marked = Promise.all(machines.map((ref) => markMachine(ref, preview, { fly }, signal)))
    marked.catch((err: unknown) =>
      log.info({ err, preview: preview.id }, 'marks of a machine were not written'),
    )
  }
}

/**
 * Starts a machine, lets Fly's proxy send it requests, and waits until it answers. Nobody knows its
 * address before, so the two need not wait for each other.
 */
async function wake(ref: MachineRef, fly: MachinesApi, signal: AbortSignal): Promise<void> {
  const changes = fly.withoutLease(ref)
  await changes.start(signal).catch(async (error: unknown) => {
    const { state } = await found(fly, ref, signal)
    if (state !== 'started' && state !== 'starting') throw error
  })
  crashPoint('claim-started')
  await Promise.all([changes.uncordon(signal), untilOurs(ref, fly, signal)])
}

/** Throws if the machine does not answer in time, or was somebody's. */
async function untilOurs(ref: MachineRef, fly: MachinesApi, signal: AbortSignal): Promise<void> {
  if (!(await fly.wait(ref, { state: 'started', withinMs: startMs }, signal)))
    throw new Problem('time-limit', `Machine ${ref.id} was not started in ${startMs / 1000} s.`)
  const of = { code: 'preview-not-ready', logs: 'tarmac preview logs' } as const
  const machine = await untilAnswers({ fly, ref, of, everyMs: pollMs, forMs: startMs }, signal)
  // The records may be older than the machine, after a restore.
  const owner = configOf(machine).metadata?.[previewOwnerMark]
  if (owner) throw new Problem('internal', `Machine ${ref.id} was ${owner}'s before.`)
}
