import type { Scope } from '#api/callers/scope.ts'
import type { DeploymentState } from '#api/deployment.ts'
import type { Problem } from '#api/problem.ts'
import type { Principal, Target } from '../../callers/principal.ts'
import type { TeamStore } from '../../deployments/teams/team-store.ts'

/** Finds what an id names. Null: nothing has this id. */
export type Lookups = {
  deployment(id: string): Promise<Target | null>
  preview(id: string): Promise<Target | null>
  /** Whether a deployment had a source that is no longer kept. */
  isSourceGone(id: string): Promise<boolean>
  rollout(id: string): Promise<Target[] | null>
  /** The app whose repository an image is in. Null: it is not in the registry of the apps. */
  appOfImage(reference: string): string | null
  /** How many deployments of what a caller sees have not ended, by state. */
  unfinished(isSeen: IsSeen): Promise<{ state: DeploymentState; count: number }[]>
  /** The app's own settings. */
  settings(app: string): Promise<object>
  /** A rule that was made by the API. Null: there is none of this name. */
  rule(name: string): Promise<object | null>
  teams: Pick<TeamStore, 'find' | 'teamOf' | 'teamsOf'>
}

/** Whom a record concerns. A preview's deployment is the app's that the preview belongs to. */
export const targetOf = ({ app, owner, preview }: DeploymentOf): Target =>
  preview ? { app: preview.app, owner: preview.owner } : { app, owner }
type DeploymentOf = { app: string; owner: string | null; preview: Target | null }

export type IsSeen = (target: Target) => boolean

/**
 * A target, and the scope that the caller needs there if it is not the row's. `missing`: the answer if
 * the caller may not see it, if it is not the row's.
 */
export type Reached = Target & { scope?: Scope; missing?: Problem }

/**
 * What the audit trail keeps of a call, beside caller, targets and result. Small: names, numbers and
 * states, and never the value of a secret.
 */
export type Recorded<A extends unknown[], R> = {
  /** What was asked, beside the targets. */
  asked?: (args: A) => object
  /** The state before. Of it and of `after`, only what differs is kept. */
  before?: (args: A, find: Lookups) => object | null | Promise<object | null>
  after?: (result: R, args: A, find: Lookups) => object | null
  /** The id of what was made. Default: the result's `id`, if it has one. */
  made?: (result: R) => string | null
}

/** What a command needs of its caller. */
export type Row<A extends unknown[], R> = {
  /** Null: any caller may call. */
  scope: Scope | null
  /** Whether the command changes something: then it is in the audit trail. */
  changes: boolean
  /**
   * The command that follows when its upload has arrived. What this one refuses is in the audit trail as
   * that command.
   */
  early?: string
  /**
   * What the call concerns. A target that the caller may not see is answered as one that does not exist.
   * Absent: the gateway as a whole, what `shown` leaves of it, or `teams`. Null: it does not exist.
   */
  targets?: (args: A, find: Lookups) => Reached[] | null | Promise<Reached[] | null>
  /** Teams that the call concerns. The caller must be in all of them. */
  teams?: (args: A) => string[]
  /** The targets of the call may be new apps. A new app belongs to the team of its caller. */
  creates?: true
  /** The answer for what does not exist, or may not be seen. */
  missing?: (args: A) => Problem
  /**
   * Whether the holder of a deploy link may make this call. `deployment`: the one that the link made.
   * Absent: never.
   */
  ofLink?: (args: A, deployment: string | null) => boolean
  /** What a limited caller sees of the result. Without it and without targets, only unlimited callers may call. */
  shown?: (
    result: R,
    isSeen: IsSeen,
    more: { find: Lookups; caller: Principal; args: A },
  ) => R | Promise<R>
  /**
   * For `whyNot`: why an allowed call would be refused all the same, if that is cheap to say. The command
   * itself checks it too. Null: nothing is known against it.
   */
  useless?: (args: A, find: Lookups) => Promise<Problem | null>
  /** For commands that change something. */
  recorded?: Recorded<A, R>
}

// oxlint-disable-next-line typescript/no-explicit-any -- the table gives each row the types of its command
export type AnyRecorded = Recorded<any, any>

type AnyCommand = (caller: Principal, ...args: never[]) => Promise<unknown>

/** One row for each command, in the same groups. */
export type TableOf<C> = {
  [Name in keyof C]: C[Name] extends (caller: Principal, ...args: infer A) => Promise<infer R>
    ? Row<A, R>
    : C[Name] extends AnyCommand
      ? never
      : TableOf<C[Name]>
}
