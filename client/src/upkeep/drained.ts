import { setTimeout as sleep } from 'node:timers/promises'
import { errorMessage } from '#api/error-code.ts'
import type { DrainFacts } from '#api/status/drain.ts'
import type { Printer } from '../print.ts'
import type { BuilderCalls } from './builder-calls.ts'

const lookMs = 1000

/**
 * Drains the builder, then acts. When the action fails, the builder takes work again. `action` ends
 * the drain by itself: it restarts the builder.
 */
export async function whileDrained<T>(
  calls: BuilderCalls,
  { seconds, printer, signal }: { seconds: number; printer: Printer; signal: AbortSignal },
  action: () => Promise<T>,
): Promise<T> {
  try {
    let facts = await calls.startDrain(seconds, signal)
    printer.note('the builder takes no new work')
    for (let seen = ''; facts.state !== 'drained'; facts = await calls.drain(signal)) {
      const now = progress(facts)
      if (now !== seen) printer.note(now)
      seen = now
      await sleep(lookMs, undefined, { signal })
    }
    printer.note(`the builder is drained: nothing runs, ${facts.queued} deployments wait`)
    return await action()
  } catch (error) {
    await calls.endDrain().then(
      () => printer.note('the builder takes work again'),
      (failure: unknown) =>
        printer.note(
          `the drain could not be ended (${errorMessage(failure)}); the builder takes work again by itself, 15 minutes after its limit, or after a restart`,
        ),
    )
    throw error
  }
}

export const progress = ({ running, uploads, stopsAt }: DrainFacts): string =>
  `${running} deployments run${uploads > 0 ? ` and ${uploads} uploads arrive` : ''}; what still runs at ${stopsAt ?? 'the limit'} is stopped and goes on later`
