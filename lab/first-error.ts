import { type Step, step } from './make/progress.ts'

/**
 * Does one long step of set-up. When a program of it fails, the cleanup often fails as well, and its
 * error would replace the reason. This throws the error that came first; the cleanup's is added.
 */
export async function stepWithReason<T>(
  name: string,
  work: (step: Step) => Promise<T>,
): Promise<T> {
  const failures: unknown[] = []
  const run = (tool: Step): Step['run'] =>
    async function runAndNote(...command) {
      try {
        return await tool.run(...command)
      } catch (error) {
        failures.push(error)
        throw error
      }
    }

  try {
    return await step(name, (tool) => work({ say: tool.say, run: run(tool) }))
  } catch (error) {
    const reason = failures[0] ?? firstOf(error)
    if (reason === error) throw error
    const last = error instanceof SuppressedError ? error.error : error
    const message = `${messageOf(reason)}\nThe cleanup failed too: ${messageOf(last)}`
    throw new Error(message, { cause: error })
  }
}

/** Leaving an `await using` block by an error wraps it when the disposal fails as well. */
const firstOf = (error: unknown): unknown =>
  error instanceof SuppressedError ? firstOf(error.suppressed) : error

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)
