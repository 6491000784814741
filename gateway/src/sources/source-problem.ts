import { errorCode } from '#api/error-code.ts'
import { asProblem, Problem } from '#api/problem.ts'

/** The Problem of an error while a source arrives or is written. */
export function asSourceProblem(error: unknown): Problem {
  const code = errorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new Problem(
      'no-space',
      'The gateway’s volume is full. Try again later, or give it a larger volume.',
      { cause: error },
    )
  return asProblem(error)
}
