import type { Deployment, DeploymentState } from '#api/deployment.ts'
import type { DiskSample } from '#api/status/disk/disk-history.ts'
import type { Removal } from '#api/status/disk/removals.ts'
import type { Rate } from '#api/status/prices.ts'
import type { AppSettings } from '#api/options/app-settings.ts'

/** Machine time of one day. `app`: '' for time in which no deployment was at work. */
export type MachineTime = {
  day: string
  app: string
  /** '': no price was known. */
  currency: string
  machineMs: number
  amount: number
}

/** How often the gateway records what is on its disk. */
export const diskSampleMs = 10 * 60_000

/** What the store knows for the gateway's status. */
export interface StatusStore {
  /** How many deployments have not ended, in each state that has some. */
  unfinishedByState(): Promise<{ state: DeploymentState; count: number }[]>
  /** The same by app and owner ('': the app itself). */
  unfinishedByTarget(): Promise<
    { app: string; owner: string; state: DeploymentState; count: number }[]
  >
  /** The newest deployments of all apps, newest first; less if they are large. */
  newest(limit: number): Promise<Deployment[]>
  /** The price of the machine from now on. Null: not known. */
  useRate(rate: Rate | null): void
  /** Counts the machine time until now, also when nothing was at work. */
  countMachineTime(): Promise<void>
  /** Machine time from a day on, such as 2026-05-01: sums by day, and by day and app. */
  machineTime(fromDay: string): Promise<MachineTime[]>
  /** Keeps one sample for each 10 minutes, for 14 days. */
  addDiskSample(sample: DiskSample): Promise<void>
  /** Oldest first. */
  diskSamples(): Promise<DiskSample[]>
  /** Keeps the newest 500 of 14 days. */
  addRemoval(removal: Omit<Removal, 'at'>): Promise<void>
  /** Newest first. */
  removals(): Promise<Removal[]>
  /** The size of the sources that are kept, each counted once. */
  sourceBytes(
    keep: Pick<AppSettings, 'keepSources' | 'keepSourcesMib' | 'keepSourcesDays'>,
  ): Promise<number>
}
