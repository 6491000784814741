import type { Deployment } from '#api/deployment.ts'
import { suspected } from '../deployments/gateway-died.ts'
import { onRecovery } from '../deployments/lanes.ts'
import { failureIn, workingStates } from '../deployments/states.ts'
import type { Life } from '../deployments/gateway-died.ts'
import type { Claim } from '../deployments/store.ts'
import { damaged, isReadable, memberOf, toDeployment } from './record.ts'
import type { Tables } from './tables.ts'
import { inParts } from './transactions.ts'

const working = workingStates.map((state) => `'${state}'`).join(', ')

/** See `DeploymentStore.startLife`. `alone`: no other gateway uses these records. */
export async function startLife(
  tables: Tables,
  life: Life & { alone: boolean; reason: string },
): Promise<{ claims: Claim[]; ended: Deployment[] }> {
  const { deployments, suspects, costs, tools } = tables
  tools.transaction(() => costs.begin())
  const ended = await endDamaged(tables)
  return tools.transaction(() => {
    // Deployments that other gateways run are not suspect.
    if (life.alone) ended.push(...suspects.startLife(life).ended)
    const claims = recoverLeft(tables, life)
    suspects.holdBack()
    return { claims, ended: ended.map((id) => toDeployment(deployments.find(id)!)) }
  })
}

/** See `DeploymentStore.endLife`. For use within a transaction of the store. */
export function endLife({ suspects, costs }: Tables): void {
  costs.settle()
  suspects.endLife()
}

/** Unreadable records must not prevent the start of the gateway, nor block their app. */
async function endDamaged({ deployments, tools }: Tables): Promise<string[]> {
  const ended: string[] = []
  await inParts(deployments.ids('ended_at IS NULL'), tools.transaction, (id) => {
    const row = deployments.find(id)!
    if (isReadable(row)) return
    deployments.move(row, failureIn(row.state), { problem: damaged(row).body(), rollout: null })
    ended.push(id)
  })
  return ended
}

/**
 * See `DeploymentStore.recover`. `maxDeaths`: at the start of a gateway, when suspects must run
 * alone. For use within a transaction of the store.
 */
export function recoverLeft(
  { deployments, lanes }: Tables,
  {
    alone,
    reason,
    only = null,
    maxDeaths,
  }: { alone: boolean; reason: string; only?: string | null; maxDeaths?: number },
): Claim[] {
  // A suspect in a deploy state without a lease waits for its turn: its log says so already.
  const left = deployments.all(
    `SELECT * FROM deployments WHERE ended_at IS NULL AND state IN (${working})
       AND coalesce(leased_until, '') < ? AND id = coalesce(?, id) AND NOT (suspect IS NOT NULL AND leased_until IS NULL)
       ORDER BY created_at`,
    [alone ? '9' : deployments.time(), only],
  )
  return left.flatMap((row) => {
    const isSuspect = maxDeaths !== undefined && row.suspect !== null
    const recovery = onRecovery(memberOf(row), reason, isSuspect ? suspected(row, maxDeaths) : null)
    deployments.write(row.id, recovery.events)
    if ('change' in recovery) deployments.apply(row, recovery.change)
    if (recovery.next === 'resume') return deployments.claimRow(row)
    if (recovery.next === 'requeue') {
      deployments.claimRow(row)
      lanes.applyNewerArrivals(row)
    }
    return []
  })
}
