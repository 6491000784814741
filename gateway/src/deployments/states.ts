import type { DeploymentState } from '#api/deployment.ts'

const stopped = ['build_failed', 'cancelled'] as const
const early = [...stopped, 'superseded'] as const // a newer deployment goes first, until machines are touched

/** A deployment's whole life: from each state, the states it may enter next. Back to `pending`: the gateway restarted. */
export const moves = {
  pending: ['fetching', 'deploying', ...early], // straight to deploying: a rollback brings an image that exists
  fetching: ['analyzing', 'pending', ...early],
  analyzing: ['building', 'pending', ...early],
  building: ['pushing', 'deploying', 'built', 'pending', ...early], // no pushing: the exporter found everything there
  pushing: ['deploying', 'built', 'pending', ...early],
  deploying: ['verifying', 'deploy_failed', 'cancelled', 'superseded'],
  verifying: ['live', 'deploy_failed', 'cancelled'],
  live: [],
  built: [],
  build_failed: [],
  deploy_failed: [],
  cancelled: [],
  superseded: [],
} as const satisfies Record<DeploymentState, readonly DeploymentState[]>

export const mayMove = (from: DeploymentState, to: DeploymentState): boolean =>
  (moves[from] as readonly DeploymentState[]).includes(to)

/** States in which work of ours runs, oldest first; before `deploying` nothing outside has been touched. */
export const workingStates = [
  'fetching',
  'analyzing',
  'building',
  'pushing',
  'deploying',
  'verifying',
] as const
export const touchesMachines = (state: DeploymentState): boolean =>
  state === 'deploying' || state === 'verifying'
/** How a deployment ends that fails in this state. */
export const failureIn = (state: DeploymentState) =>
  touchesMachines(state) ? 'deploy_failed' : 'build_failed'

/** Whether a move clears a suspect: it has left the state in which the gateway died. */
export function clears(to: DeploymentState, suspect: DeploymentState): boolean {
  const order: readonly string[] = workingStates
  return to !== 'pending' && (order.indexOf(to) < 0 || order.indexOf(to) > order.indexOf(suspect))
}
