import type { DeploymentStore } from '../../deployments/store.ts'
import type { Logger } from '../../log.ts'
import { seenBy } from '../access/seen-by.ts'
import { type ChangeDeps, changeOwner } from './change-owner.ts'
import { type DestroyDeps, destroyOwner } from './destroy-owner.ts'
import type { OwnerCommands } from './owner-commands.ts'
import type { OwnerRoutes } from '../router/owner-routes.ts'
import { type ListDeps, listOwners } from './owner-list.ts'
import { type ShowDeps, showOwner } from './show-owner.ts'

type OwnerDeps = ListDeps &
  ShowDeps &
  ChangeDeps &
  DestroyDeps & {
    store: Pick<DeploymentStore, 'teams'>
    ownerRoutes: Pick<OwnerRoutes, 'sync'>
    log: Pick<Logger, 'warn'>
  }

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
  async destroy({ name }, target, volumes) {
    const destroyed = await destroyOwner(target, volumes, { by: name, signal: deadline() }, deps)
    // Until the router knows, it says that this owner's machine does not answer.
    deps.ownerRoutes.sync(target.app, deadline()).catch((err: unknown) => {
      deps.log.warn({ err, ...target }, 'the route of a destroyed owner is still there')
    })
    return destroyed
  },
})
