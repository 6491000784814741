import type { ReleaseStore } from '../../deployments/release-store.ts'
import type { Machine } from '#fly/machine.ts'
import type { Logger } from '../../log.ts'
import { judgeRelease, machinesOf, needsJudgement } from './judge-release.ts'

export type NoteDeps = {
  releases: Pick<ReleaseStore, 'newestOn' | 'find' | 'noteCrashes'>
  log: Pick<Logger, 'warn'>
}

/**
 * Records what the machines of an app on Fly say about its newest releases. `machines`: all machines of
 * the app, as Fly shows them now. Returns whether a release is degraded.
 */
export async function noteCrashes(
  flyApp: string,
  machines: Machine[],
  { releases, log }: NoteDeps,
): Promise<boolean> {
  let isDegraded = false
  for (const release of await releases.newestOn(flyApp)) {
    const made = machinesOf(release, machines)
    if (!needsJudgement(release, made)) continue

    // flyctl keeps Tarmac's marks when it puts another image on a machine.
    const stored = await releases.find(release.app, release.owner, release.number)
    const digest = stored?.image.digest
    const own = made.filter(({ image_ref: image }) => !image?.digest || image.digest === digest)
    const { crashes, events } = judgeRelease(release, { machines: own, flyApp, nowMs: Date.now() })
    isDegraded ||= crashes.some(({ endedAt }) => endedAt === null)
    if (JSON.stringify(crashes) === JSON.stringify(release.crashes)) continue

    // False: another look was faster, or there is a newer release. The next look sees it.
    if (!(await releases.noteCrashes(release, crashes, events))) continue
    for (const { machine, why } of crashes.filter(({ endedAt }) => endedAt === null))
      log.warn(
        { app: release.app, owner: release.owner, release: release.number, machine, why },
        'degraded',
      )
  }
  return isDegraded
}
