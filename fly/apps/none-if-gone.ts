import { statusOf } from '../fly-calls.ts'

/** For a list of what an app has. One that was deleted, or that is not made yet, has nothing. */
export function noneIfGone(error: unknown): never[] {
  if (statusOf(error) !== 404) throw error
  return []
}
