import type { DeploymentStore } from '../../deployments/store.ts'
import { seenBy } from '../access/seen-by.ts'
import { type ChangeDeps, changeOwner } from './change-owner.ts'
import { type DestroyDeps, destroyOwner } from './destroy-owner.ts'
import type { OwnerCommands } from './owner-commands.ts'
import { type ListDeps, listOwners } from './owner-list.ts'
import { type ShowDeps, showOwner } from './show-owner.ts'

type OwnerDeps = ListDeps &
  ShowDeps &
  ChangeDeps &
  DestroyDeps & { store: Pick<DeploymentStore, 'teams'> }

/** For the calls to Fly of one command. */
const callMs = 240_000
const deadline = () => AbortSignal.timeout(callMs)

/** See `OwnerCommands`. */
export const openOwners = (deps: OwnerDeps): OwnerCommands => ({
  list: (caller, app, filter, page) =>
    listOwners(
      app,
      filter,
      { ...page, isSeen: seenBy(caller, deps.store.teams) },
      { ...deps, signal: deadline() },
    ),
  show: (_caller, target) => showOwner(target, deps, deadline()),
  async change({ name }, target, action) {
    const signal = deadline()
    await changeOwner(target, action, { by: name, signal }, deps)
    return showOwner(target, deps, signal)
  },
  destroy: ({ name }, target, volumes) =>
    destroyOwner(target, volumes, { by: name, signal: deadline() }, deps),
})
