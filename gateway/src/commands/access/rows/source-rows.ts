import type { SourceCommands } from '../../sources/source-commands.ts'
import { byDeployment, deploy, ofKeptSource, read } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

/**
 * What each command about sources needs of its caller. Names of files are for whoever may read the
 * log. Their content is for whoever may deploy them, and the audit trail says who took it.
 */
export const sourceRows: TableOf<SourceCommands> = {
  archive: {
    ...deploy,
    ...byDeployment,
    useless: ([id], find) => ofKeptSource.useless([id, { reuseImage: false }], find),
    recorded: { asked: ([deployment]) => ({ deployment }), made: () => null },
  },
  compare: { ...read, ...byDeployment },
}
