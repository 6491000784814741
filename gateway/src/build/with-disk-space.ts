import { Problem } from '#api/problem.ts'
import { inMb } from '#api/text/in-mb.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { DiskWatch } from '../host/disk/disk-watch.ts'
import type { Stopped } from '../host/disk/work-stopper.ts'

const words = /no space left on device|ENOSPC/i
/** The share of the disk to free for the next try of a build that ran out of space. */
const wantedShare = 0.5
/**
 * How often a build may run out of space before the gateway says that the build itself fills the
 * disk.
 */
const maxTries = { stopped: 2, failed: 3 }
const killed = 137

/**
 * How often each build ran out of space. All tries of a build share one signal, which is the key.
 */
const triesOf = new WeakMap<AbortSignal, number>()

/**
 * Runs an action that needs disk space. Waits until there is space, stops it when there is none,
 * and reads its log events for errors about a full disk.
 */
export async function withDiskSpace<T>(
  disk: DiskWatch,
  emit: EventSink,
  action: (emit: EventSink, signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  await disk.settled(signal)
  using inside = disk.enter()
  let saysFull = false
  const watched: EventSink = (event) => {
    saysFull ||= event.type === 'log' && words.test(event.text)
    emit(event)
  }
  try {
    return await action(watched, AbortSignal.any([signal, inside.signal]))
  } catch (error) {
    throw await outOfSpace(
      error,
      { logSaysFull: saysFull, ended: inside.signal.aborted },
      disk,
      signal,
    )
  }
}

/**
 * Returns the error to report for a failed build. It is `no-space` if the gateway's disk was full;
 * then the gateway starts to free space. The log of a step and the error of the daemon may say so,
 * but the source can write both. The gateway believes them if the disk was short of space, or if
 * the disk watch `ended` the build.
 */
async function outOfSpace(
  error: unknown,
  { logSaysFull, ended }: { logSaysFull: boolean; ended: boolean },
  disk: DiskWatch,
  signal: AbortSignal,
): Promise<unknown> {
  if (!(error instanceof Problem)) return error

  const stopped =
    error.facts['exitCode'] === killed && !error.facts['outOfMemory'] ? disk.stoppedLately() : null
  const saysFull = error.code === 'no-space' || logSaysFull || words.test(error.message)
  const isShort = (ended && error.code === 'no-space') || (saysFull && (await disk.wasShort()))

  if (!stopped && !isShort) {
    if (error.code !== 'no-space') return error
    return new Problem('build-failed', error.message, { cause: error, facts: error.facts })
  }

  void disk.makeRoom(wantedShare)
  const tries = (triesOf.get(signal) ?? 0) + 1
  triesOf.set(signal, tries)
  const fillsDisk = tries >= (stopped ? maxTries.stopped : maxTries.failed)

  const facts = {
    ...error.facts,
    ...(stopped && { wroteBytes: stopped.bytes }),
    ...(fillsDisk && { fillsDisk }),
  }
  return new Problem('no-space', detailOf(error, stopped, fillsDisk), { cause: error, facts })
}

function detailOf({ facts }: Problem, stopped: Stopped | null, fillsDisk: boolean): string {
  const step =
    typeof facts['step'] === 'string' ? `The step “${facts['step']}”` : 'A step of the build'
  const wrote = stopped && ` wrote ${inMb(stopped.bytes)} and ${stopped.files} files`
  const what = stopped
    ? `${step}${wrote} and filled the gateway’s disk, so it was stopped.`
    : 'The gateway’s disk is full. Old build caches are being removed.'
  const next = fillsDisk
    ? 'This build filled the disk several times and is not tried again. Let its steps write less, or give the gateway a larger volume.'
    : 'If this happens again, the build needs more space than the gateway has.'
  return `${what} ${next}`
}
