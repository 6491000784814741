import type { UploadCommands } from '../../uploads/upload-commands.ts'
import { deploy, makes, makesSoon, noApp } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

/**
 * For commands about an upload of the caller's own. Its app is checked when it is made, and again when
 * it is deployed.
 */
const ofOwn = { ...deploy, ...makes, changes: false, targets: () => [] } as const

/**
 * What each command about resumable uploads needs of its caller. Bytes change nothing: the audit
 * trail has the deployment that uses them.
 */
export const uploadRows: TableOf<UploadCommands> = {
  create: {
    ...deploy,
    ...makesSoon('submit'),
    ...makes,
    targets: ([{ app }]) => [{ app }],
    missing: ([{ app }]) => noApp(app),
  },
  find: ofOwn,
  append: ofOwn,
  remove: ofOwn,
}
