import type { MachineConfig } from './machine-config.ts'
import type { Exit } from './containers.ts'

const defaultRetries = 10
const windowMs = 300_000

/** Applies the restart policy. Without one, Fly restarts on failure, ten times. */
export function mayRestart(config: MachineConfig, exit: Exit, restarts: number): boolean {
  const policy = config.restart?.policy || 'on-failure'
  if (policy === 'always') return true
  return (
    policy === 'on-failure' &&
    exit.code !== 0 &&
    restarts < (config.restart?.max_retries || defaultRetries)
  )
}

/**
 * The restarts that count: those of the last five minutes (superfly/docs:
 * machines/guides-examples/machine-restart-policy).
 */
export const recentRestarts = (restartedAt: number[] = [], now: number): number[] =>
  restartedAt.filter((at) => now - at < windowMs)

/**
 * An exit as an event shows it. An end by a signal is a `crash` with exit code -1, unless it was
 * requested.
 */
export function exitText(
  exit: Exit,
  how: { requested: boolean; restarting: boolean },
  restarts: number,
) {
  const signal = exit.code > 128 ? exit.code - 128 : 0
  const exitEvent = {
    exit_code: signal > 0 ? -1 : exit.code,
    guest_exit_code: exit.code,
    guest_signal: signal > 0 ? signal : -1,
    oom_killed: exit.oomKilled,
    requested_stop: how.requested,
    restarting: how.restarting,
    exited_at: new Date().toISOString(),
  }
  return {
    type: signal > 0 && !how.requested ? 'crash' : 'exit',
    request: { exit_event: exitEvent, restart_count: restarts },
  }
}
