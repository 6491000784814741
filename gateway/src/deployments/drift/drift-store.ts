import type { DriftFinding } from '#api/drift/finding.ts'
import type { NewEvent } from '#api/event.ts'

/** How an app may be reached: what it had at the first look, or what somebody has accepted since. */
export type Expected = {
  /** Null: Fly has not listed them yet. */
  hostnames: string[] | null
  /** `network`: null while it is not known, or not the expected one. */
  flycast: { ip: string; network: { name: string; organization: string | null } | null }[]
  publicIps: string[]
}

/** What the last look at an app found. */
export type DriftRow = {
  app: string
  /** Fly's id of the app: a later app of the same name is another app. */
  flyId: string | null
  lookedAt: string
  /** Null: no look has succeeded yet. */
  expected: Expected | null
  /** Each with the time of the look that found it first. */
  findings: DriftFinding[]
  /** Why the app could not be looked at. Then everything else is of an earlier look. */
  problem: string | null
}

/**
 * The newest daily look at all apps. `isOver`: no app is left. `checkedAt`: the end of the newest
 * complete one.
 */
export type DriftPass = { beganAt: string; isOver: boolean; checkedAt: string | null }

/** Keeps what daily looks found. Every method is atomic. */
export interface DriftStore {
  find(app: string): Promise<DriftRow | null>
  /** By name. */
  all(): Promise<DriftRow[]>
  /** Also writes the events to the log of the app's newest release, unless that log was dropped. */
  save(row: DriftRow, events: NewEvent[]): Promise<void>
  forget(app: string): Promise<void>
  pass(): Promise<DriftPass | null>
  savePass(pass: DriftPass): Promise<void>
}
