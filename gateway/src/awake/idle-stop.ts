import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../log.ts'
import type { Awake } from './awake.ts'

type IdleStopDeps = {
  awake: Pick<Awake, 'look' | 'idleStopMs'>
  /** Stops listening if no connection is open; returns whether it did. Must be synchronous. */
  server: { stopAccepting(): boolean }
  log: Pick<Logger, 'info' | 'error'>
  signal: AbortSignal
}

const defaultMs = 10 * 60_000

/** The idle time of a setting. Null: never. By default, only a machine of Fly stops. */
export function idleStopMs(setting: number | 'off' | 'default', ownMachine: unknown) {
  if (setting === 'default') return ownMachine === null ? null : defaultMs
  return setting === 'off' ? null : setting
}

/** How often it looks: 20 times per idle time, but every 5 s at least. */
const looks = 20
const maxPauseMs = 5000

/**
 * Resolves when the gateway has been idle for `idleStopMs` and listens no more, or when the signal
 * aborts.
 *
 * No request is lost, because the last check and the end of listening are one synchronous step: at
 * that moment no connection is open, so no request has been accepted and none can be. A caller who
 * connects later is refused, and Fly's proxy then starts the machine.
 */
export async function untilIdle({ awake, server, log, signal }: IdleStopDeps): Promise<void> {
  const { idleStopMs: idleMs } = awake
  while (await slept(Math.min((idleMs ?? Infinity) / looks, maxPauseMs), signal)) {
    if (idleMs === null) continue
    try {
      const look = await awake.look()
      // Directly after new connections are accepted: as few as possible wait in the kernel.
      await nextTurn()
      const isIdle = Object.keys(look.counts).length === 0
      if (!isIdle || look.idleMs < idleMs || !look.isCurrent() || signal.aborted) continue
      if (!server.stopAccepting()) continue
      log.info({ idleMs: Math.round(look.idleMs) }, 'gateway is idle and stops')
      return
    } catch (err) {
      log.error({ err }, 'gateway stays awake: what keeps it awake cannot be read')
    }
  }
}

const slept = (ms: number, signal: AbortSignal): Promise<boolean> =>
  sleep(ms, true, { signal, ref: false }).catch(() => false)
