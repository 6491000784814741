import { Problem } from '#api/problem.ts'
import { configOf, type Machine } from '#fly/machine.ts'
import type { DeployJob } from './job.ts'
import { ownerOf } from './managed.ts'

/**
 * Throws `record-outdated` if the records do not know the machine's last deployment. Records restored
 * from a snapshot must not undo later deployments. Option `over` allows it.
 */
export async function assertKnown(job: DeployJob, machine: Machine): Promise<void> {
  const { tarmac_deployment: deployment, tarmac_number: mark } = configOf(machine).metadata ?? {}
  const number = Number(mark)
  if (
    ownerOf(machine) !== job.options.owner ||
    !deployment ||
    number <= Number(job.options['force-over']) ||
    (await job.known(deployment, number))
  )
    return
  throw new Problem(
    'record-outdated',
    `Machine ${machine.id} has seen deployment number ${number}, which this gateway's record does not know. The gateway's volume came from an older snapshot, or another gateway deploys this app. To deploy over it: tarmac deploy ${job.recordedApp}${job.options.owner ? ` --owner ${job.options.owner}` : ''} --force-over ${number}, or force-over=${number} in the query of a request.`,
    { facts: { machine: machine.id, number } },
  )
}
