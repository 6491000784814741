import { errorCode } from '#api/error-code.ts'
import { asProblem, Problem } from '#api/problem.ts'
import { retryAfterSeconds } from './spool-room.ts'

/** The Problem of an error while a source arrives or is written. */
export function asSourceProblem(error: unknown): Problem {
  const code = errorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new Problem(
      'no-space',
      `The gateway’s volume is full. Send it again in ${retryAfterSeconds} s. If this happens again, its operator must give it a larger volume.`,
      { cause: error, facts: { retryAfterSeconds } },
    )
  return asProblem(error)
}
