import type { OwnerState } from '#api/owners/owner.ts'
import type { Rest } from '../../deployments/owners/owner-store.ts'

const down = new Set(['created', 'stopped', 'stopping', 'suspended', 'suspending', 'failed'])

/**
 * What an owner's machines do. `machines`: their states, in Fly's words. `hasCrashed`: the newest
 * release has crashed, and has not recovered.
 */
export function ownerState({
  machines,
  rest,
  hasCrashed,
  isDeploying,
}: {
  machines: readonly string[]
  rest: Rest | null
  hasCrashed: boolean
  isDeploying: boolean
}): OwnerState {
  if (isDeploying) return 'deploying'
  if (machines.some((state) => !down.has(state))) return 'running'
  if (rest?.state === 'destroyed') return 'kept'
  if (machines.length === 0) return 'missing'
  if (rest) return rest.state
  return hasCrashed || machines.includes('failed') ? 'crashed' : 'idle'
}
