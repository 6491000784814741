import type { OwnQuotas, QuotaName } from '#api/callers/quotas.ts'

export type StoredTeam = { name: string; createdAt: string; quotas: OwnQuotas }

/**
 * Teams, their members and apps. Reads are answered from memory: each call of a command needs them.
 * Every change is durable when its promise resolves.
 */
export interface TeamStore {
  /** Whether no team was made beside `default`. Then no answer names a team. */
  readonly isAlone: boolean
  all(): StoredTeam[]
  find(name: string): StoredTeam | null
  teamOf(app: string): string
  /** Null: it was never a member. Empty: it has left its last team. */
  teamsOf(member: string): readonly string[] | null
  members(team: string): string[]
  /** Of `default`: those with records that belong to no other. */
  apps(team: string): string[]
  /** Whether the gateway has no record of the app, and no team has its name. */
  isNew(app: string): boolean

  create(name: string): Promise<void>
  /** Its members are in no team then, unless they are in others. Its apps must have been moved. */
  remove(name: string): Promise<void>
  addMember(team: string, member: string): Promise<void>
  removeMember(team: string, member: string): Promise<void>
  moveApp(app: string, team: string): Promise<void>
  /** Gives a new app's name to a team. Returns whether the team has it. */
  claim(app: string, team: string): Promise<boolean>
  /** Takes a name that was claimed from its team, unless there are records of the app. */
  release(app: string): Promise<void>
  setQuotas(team: string, quotas: OwnQuotas): Promise<void>
}

/** What teams use of their quotas. Amounts are in counted units: bytes, milliseconds, pieces. */
export interface QuotaStore {
  /** Null: no limit. In the units of `quotas`, as `used`. */
  limitOf(team: string, quota: QuotaName): number | null
  /** Null: the store does not count it. */
  usedOf(team: string, quota: QuotaName): number | null
  /** Counts for the UTC day. */
  add(team: string, quota: QuotaName, amount: number): Promise<void>
}
