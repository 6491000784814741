import { unlessAborted } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'

const mostKept = 200
/** A part of a page is not worth a longer wait. */
const patienceMs = 3500

/** Asks once for the same key within `keptMs`: a page is asked for often. A failure is not kept. */
export function keptAnswers<T>(keptMs: number) {
  const kept = new Map<string, { until: number; answer: Promise<T> }>()
  return (key: string, ask: () => Promise<T>): Promise<T> => {
    const now = performance.now()
    const known = kept.get(key)
    if (known && now < known.until) return known.answer

    for (const [old, { until }] of kept) if (until < now || kept.size >= mostKept) kept.delete(old)
    const answer = ask()
    kept.set(key, { until: now + keptMs, answer })
    answer.catch(() => kept.delete(key))
    return answer
  }
}

/** A question to Fly's metrics. Throws `fly-unavailable` if they do not answer soon. */
export async function patiently<T>(ask: (late: AbortSignal) => Promise<T>): Promise<T> {
  const late = AbortSignal.timeout(patienceMs)
  try {
    return await unlessAborted(ask(late), late)
  } catch (error) {
    if (!late.aborted) throw error
    const detail = `Fly's metrics did not answer within ${patienceMs / 1000} s. The machines are not concerned. Try again later.`
    throw new Problem('fly-unavailable', detail)
  }
}
