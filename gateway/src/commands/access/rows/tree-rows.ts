import type { TreeCommands } from '../../trees/tree-commands.ts'
import { byApp, deploy, makes, makesSoon } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

/** Bytes change nothing: the audit trail has the deployment that uses them. */
const sends = { ...deploy, ...makesSoon('deploySent'), ...makes, ...byApp } as const

/** What each command about trees needs of its caller. */
export const treeRows: TableOf<TreeCommands> = {
  send: sends,
  sendPack: sends,
  takeUpload: sends,
}
