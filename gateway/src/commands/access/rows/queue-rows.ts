import type { QueueCommands } from '../../queue/queue-commands.ts'
import { administer, byDeployment } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

/** The queue is shared by all teams: who changes its order delays others. */
export const queueRows: TableOf<QueueCommands> = {
  pause: { ...administer, recorded: { asked: ([why]) => ({ why }) } },
  resume: administer,
  first: { ...administer, ...byDeployment },
}
