import {
  type CancelRequest,
  type Deployment,
  type DeploymentState,
  isFinal,
  type NewCancelRequest,
} from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { cutCancel } from './cut-texts.ts'
import { touchesMachines } from './states.ts'
import { cancelled, stopReason, superseded } from './stop.ts'

/** A deployment as the rules of its lane see it. */
export type LaneMember = Pick<Deployment, 'state' | 'options' | 'cancel' | 'supersededBy'> & {
  id: string
  /** Whether an effect on a machine was about to happen. */
  touched: boolean
}

/** What a rule does to a deployment: a move if there is `to`, else a change of its record. */
export type Change = {
  to?: DeploymentState
  patch: Partial<Pick<Deployment, 'cancel' | 'supersededBy' | 'problem'>> & { reason?: string }
  /** For the log of a deployment that does not move. */
  note?: string
}

type Policy = Deployment['options']['lane']

/** Whether a new deployment is refused while another one of its lane has not ended. */
export const needsEmptyLane = (policy: Policy): boolean => policy === 'reject'

export function laneBusy({
  id,
  app,
  owner,
  state,
}: Pick<Deployment, 'id' | 'app' | 'state'> & { owner: string | null }): Problem {
  const detail = `Deployment ${id} of ${app}${owner ? ` for ${owner}` : ''} is ${state}. Wait for its end, or send this with lane=fifo.`
  return new Problem('lane-busy', detail, { facts: { deployment: id, state } })
}

/** Whether a new deployment may affect others. If not, a store need not read the lane. */
export const maySupersede = (policy: Policy): boolean => policy !== 'fifo' && policy !== 'reject'

/** What a newer deployment of the lane does to an older one. Null: nothing. */
export function onArrival(
  older: LaneMember,
  newer: Pick<LaneMember, 'id' | 'options'>,
): Change | null {
  const { lane, deploy } = newer.options
  // A `fifo` deployment keeps its turn, and a build without deploy never supersedes a deploy.
  if (!maySupersede(lane) || older.options.lane === 'fifo' || (older.options.deploy && !deploy))
    return null

  if (older.state === 'pending') return overtaken(newer)
  if (lane !== 'cancel-running' || older.touched || stopReason(older)) return null
  return { patch: { supersededBy: newer.id }, note: superseded(newer.id).message }
}

/**
 * Whether a move must pass the fence: it does not happen if a newer deployment of the lane is live
 * or changes machines. The older one then ends as `overtaken`.
 */
export const crossesFence = (to: DeploymentState): boolean => to === 'deploying'

export const overtaken = ({ id }: { id: string }): Change => ({
  to: 'superseded',
  patch: { supersededBy: id, problem: superseded(id).body() },
})

/**
 * What the deployments that arrived meanwhile, oldest first, do to one that is back in the queue.
 * `ahead`: the newer one that is live or changes machines, if any.
 */
export function onReturn(
  one: LaneMember,
  ahead: { id: string } | null,
  newer: Iterable<Pick<LaneMember, 'id' | 'options'>>,
): Change | null {
  if (ahead) return overtaken(ahead)
  for (const arrival of newer) {
    const change = onArrival(one, arrival)
    if (change) return change
  }
  return null
}

/** Whether a running deployment may move on. A stop request forbids it until machines change. */
export const mayAdvance = (
  one: Pick<LaneMember, 'state' | 'cancel' | 'supersededBy'>,
  to: DeploymentState,
): boolean => isFinal(to) || touchesMachines(one.state) || stopReason(one) === null

/**
 * What a cancel request does. Null: nothing, it has ended or was cancelled before. Throws
 * `cancel-too-late` if machines were touched and the request has no `abort`.
 */
export function onCancel(one: LaneMember, request: NewCancelRequest, at: string): Change | null {
  const { id, state } = one
  if (isFinal(state) || one.cancel) return null
  if (one.touched && !request.abort)
    throw new Problem(
      'cancel-too-late',
      `Deployment ${id} is ${state}: machines have been touched. To stop it at its next safe point and roll them back: tarmac cancel ${id} --abort (abort=true in a request)`,
    )

  const cancel: CancelRequest = cutCancel({ at, ...request })
  const problem = cancelled(cancel).body()
  if (state === 'pending') return { to: 'cancelled', patch: { cancel, problem } }
  return { patch: { cancel }, note: problem.detail }
}

/** Lines wait a moment before they are written: a crash loses them. */
export const mayBeMissing: NewEvent = {
  type: 'gap',
  text: 'Log lines from the moment before this may be missing.',
}

/** Why a deployment was made, for the first line of its log. Null: a caller sent a source or image. */
export function reasonOf({
  rollback,
  retryOf,
  image,
}: Pick<Deployment, 'rollback' | 'retryOf' | 'image'>): string | null {
  if (rollback) {
    const from = rollback.from === null ? '' : `from release ${rollback.from} `
    return `a rollback ${from}to release ${rollback.to}`
  }
  const what = image ? 'its image' : 'its kept source'
  return retryOf === null ? null : `a retry of deployment ${retryOf}, with ${what}`
}

/** What becomes of a running deployment that no runner works on. `events` go into its log first. */
type Recovery = { events: NewEvent[] } & (
  | { next: 'end' | 'requeue'; change: Change }
  /** `resume`: it is claimed again, and goes on. `hold`: it waits until it may run alone. */
  | { next: 'resume' | 'hold' }
)

/** `suspicion`: for a suspect (see `startLife`), the note in its log. */
export function onRecovery(
  one: Pick<LaneMember, 'state' | 'cancel' | 'supersededBy'>,
  reason: string,
  suspicion: string | null,
): Recovery {
  const events: NewEvent[] = [mayBeMissing]
  if (suspicion !== null) events.push({ type: 'note', text: suspicion })

  if (!touchesMachines(one.state)) {
    const problem = stopReason(one)?.body()
    if (!problem) return { events, next: 'requeue', change: { to: 'pending', patch: { reason } } }
    const to = one.cancel ? 'cancelled' : 'superseded'
    return { events, next: 'end', change: { to, patch: { problem } } }
  }

  if (suspicion !== null) return { events, next: 'hold' }
  events.push({ type: 'note', text: `${reason}. The gateway reads the machines and continues.` })
  return { events, next: 'resume' }
}
