import type { OwnersSetting } from '#api/options/owners-setting.ts'

/** An app and one of its owners. Owner null: the app's own machines. */
export type OwnerTarget = { app: string; owner: string | null }

/** An owner's own app on Fly. */
export type OwnerApp = {
  flyApp: string
  app: string
  owner: string
  /** ISO 8601, UTC. */
  createdAt: string
}

/**
 * Where the machines of an app's owners are: each owner's in an app of its own on Fly, or all in the
 * shared app. The first deployment of a target decides that (see `DeploymentStore.create`), and it
 * stays so, whatever the settings say later. Each method is one look-up in a table.
 */
export interface OwnerAppStore {
  /** Where new owners are, unless the app's own setting says otherwise. */
  readonly setting: OwnersSetting
  /** The app on Fly that has a target's machines: the owner's own, or else `app` itself. */
  flyAppOf(target: OwnerTarget): string
  /**
   * The target whose own app on Fly has this name, also if that is gone: nobody else may deploy to it.
   * Null: it is no owner's.
   */
  targetOf(flyApp: string): { app: string; owner: string } | null
  /** The owners of an app that have an app of their own, oldest first. */
  list(app: string): OwnerApp[]
  /**
   * Forgets where a target's machines are, when they are gone: its next deployment decides again.
   * With owner null, those of all owners of the app.
   */
  forget(target: OwnerTarget): void
}

/** How the gateway keeps owners apart. `nameOf`: the own app of a target, always the same. */
export type OwnersPolicy = {
  setting: OwnersSetting
  nameOf: (target: { app: string; owner: string }) => string
}
