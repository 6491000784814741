import type { Crash } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import type { NewestRelease } from '../../deployments/release-store.ts'
import {
  configOf,
  hasFinished,
  isScheduled,
  type Machine,
  stoppedUnasked,
  timedCrashesOf,
} from '#fly/machine.ts'
import { startError } from '../machines/failures.ts'
import { isManaged, isTemporary, ownerOf } from '../managed.ts'

/** A machine has recovered when it has run for so long without a further crash. */
export const stableMs = 5 * 60_000
const maxCrashes = 20

type Look = { machines: Machine[]; flyApp: string; nowMs: number }
type Judged = { crashes: Crash[]; events: NewEvent[] }
/** A crash as Fly's events show it. `at`: milliseconds since 1970. */
type Seen = { at: number; lastAt: number; why: string }

/** The machines that the release's deployment made or updated last. */
export const machinesOf = (
  { owner, deployment }: Pick<NewestRelease, 'owner' | 'deployment'>,
  machines: Machine[],
): Machine[] =>
  machines.filter(
    (machine) =>
      isManaged(machine) &&
      !isTemporary(machine) &&
      ownerOf(machine) === owner &&
      configOf(machine).metadata?.['tarmac_deployment'] === deployment,
  )

/** Whether something is to be judged: a machine has crashed, or a crash has not ended. */
export const needsJudgement = (release: NewestRelease, machines: Machine[]): boolean =>
  release.crashes.some(({ endedAt }) => endedAt === null) ||
  machines.some((machine) => machine.state === 'failed' || timedCrashesOf(machine).length > 0)

/**
 * What the crashes of a release are after a look at its machines, and the events that say what is
 * new. `flyApp`: where the machines are. `nowMs`: since 1970.
 */
export function judgeRelease(
  release: NewestRelease,
  { machines, flyApp, nowMs: now }: Look,
): Judged {
  const began = machines.flatMap((machine) => newCrash(release, machine) ?? [])
  const continued = release.crashes.map((crash) => {
    const machine = machines.find(({ id }) => id === crash.machine)
    return crash.endedAt === null ? afterLook(crash, machine, now) : crash
  })

  const crashes = [...began.map(({ crash }) => crash), ...continued].slice(0, maxCrashes)
  const ended = continued.filter((crash, at) => crash.endedAt !== release.crashes[at]?.endedAt)
  const isHealthy = crashes.every(({ endedAt }) => endedAt !== null)
  return {
    crashes,
    events: [
      ...began.map(({ crash, machine }) =>
        eventOf(release, 'degraded', crash.machine, crashText(release, { crash, machine, flyApp })),
      ),
      ...ended.map((crash) => {
        const text = `${endText(release, crash)} ${isHealthy ? `Release ${release.number} is healthy again.` : `Release ${release.number} is still degraded.`}`
        return eventOf(release, isHealthy ? 'healthy' : 'degraded', crash.machine, text)
      }),
    ],
  }
}

const eventOf = (
  { number }: NewestRelease,
  state: 'healthy' | 'degraded',
  machine: string,
  text: string,
): NewEvent => ({ type: 'release', release: number, state, machine, text })

/** A crash that belongs to none that is known. */
function newCrash({ crashes }: NewestRelease, machine: Machine) {
  const known = crashes.filter((crash) => crash.machine === machine.id)
  if (known.some(({ endedAt }) => endedAt === null)) return null
  const seen = seenSince(machine, Math.max(...known.map(({ lastAt }) => Date.parse(lastAt)), 0))
  if (!seen) return null
  const { at, lastAt, why } = seen
  const times = { at: isoTime(at), lastAt: isoTime(lastAt) }
  const crash: Crash = { machine: machine.id, ...times, why, endedAt: null, ending: null }
  return { crash, machine }
}

/** The crashes of a machine after a time. Null: none. */
function seenSince(machine: Machine, since: number): Seen | null {
  const failed = machine.state === 'failed' ? failureOf(machine) : []
  const [last, ...earlier] = [...failed, ...timedCrashesOf(machine)].filter(({ at }) => at > since)
  if (!last) return null
  return { at: (earlier.at(-1) ?? last).at, lastAt: last.at, why: last.why }
}

const failureOf = (machine: Machine) => {
  const at = machine.events?.find(({ status }) => status === 'failed')?.timestamp
  return at === undefined ? [] : [{ at, why: `could not be started by Fly${startError(machine)}` }]
}

/** A crash that had not ended, after a look at its machine. */
function afterLook(crash: Crash, machine: Machine | undefined, now: number): Crash {
  const ended = (ending: Crash['ending']): Crash => ({ ...crash, endedAt: isoTime(now), ending })
  if (!machine) return ended('gone')
  const seen = seenSince(machine, Date.parse(crash.lastAt))
  if (seen) return { ...crash, lastAt: isoTime(seen.lastAt), why: seen.why }
  if (hasFinished(machine)) return ended('recovered')
  if (machine.state === 'started') {
    const isStable = now - Date.parse(crash.lastAt) >= stableMs
    const isHealthy = (machine.checks ?? []).every(({ status }) => status !== 'critical')
    return isStable && isHealthy ? ended('recovered') : crash
  }
  // A scheduled machine rests between its jobs, also after one that failed.
  const isAtRest = machine.state === 'stopped' || machine.state === 'suspended'
  const isStopped = isAtRest && !stoppedUnasked(machine) && !isScheduled(configOf(machine))
  return isStopped ? ended('stopped') : crash
}

function crashText(
  { number }: NewestRelease,
  { crash, machine, flyApp }: { crash: Crash; machine: Machine; flyApp: string },
): string {
  const state = machine.state === 'started' ? 'Fly has started it again' : `It is ${machine.state}`
  return `Release ${number} is degraded: machine ${crash.machine} ${crash.why}, at ${crash.lastAt}. ${state}. See its log (fly logs --app ${flyApp} --machine ${crash.machine}).`
}

const endings = {
  recovered: 'runs without further crashes, or its job has finished',
  stopped: 'was stopped after its crash',
  gone: 'is gone: it was destroyed, or runs something else',
}

const endText = ({ number }: NewestRelease, { machine, ending }: Crash): string =>
  `Machine ${machine} of release ${number} ${endings[ending ?? 'recovered']}.`

const isoTime = (ms: number): string => new Date(ms).toISOString()
