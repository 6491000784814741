import type { DeploymentState } from '#api/deployment.ts'

const stopped = ['build_failed', 'cancelled'] as const
// A newer deployment may replace it until machines are touched.
const early = [...stopped, 'superseded'] as const

/**
 * For each state, the states that may follow. A move back to `pending` means that the gateway
 * restarted.
 */
export const moves = {
  // Straight to `deploying`: the image exists already, as in a rollback. To `pushing`: it is copied.
  pending: ['fetching', 'pushing', 'deploying', ...early],
  fetching: ['analyzing', 'pending', ...early],
  analyzing: ['building', 'pending', ...early],
  // Without `pushing`: the exporter found everything in the registry.
  building: ['pushing', 'deploying', 'built', 'pending', ...early],
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

/** States in which the gateway works, in order. Before `deploying` no machine has been touched. */
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
/** States in which a deployment starts from the beginning after the gateway has died. */
export const startsAgain = (state: DeploymentState): boolean =>
  !touchesMachines(state) && workingStates.some((each) => each === state)
/** The final state of a deployment that fails in this state. */
export const failureIn = (state: DeploymentState) =>
  touchesMachines(state) ? 'deploy_failed' : 'build_failed'

/** Whether a move clears a suspect, because it leaves the state in which the gateway died. */
export function clears(to: DeploymentState, suspect: DeploymentState): boolean {
  const order: readonly string[] = workingStates
  return to !== 'pending' && (order.indexOf(to) < 0 || order.indexOf(to) > order.indexOf(suspect))
}
