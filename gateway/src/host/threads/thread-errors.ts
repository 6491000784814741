import { errorCode } from '#api/error-code.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'

/** An error as sent between threads. A structured clone would lose its class, code and facts. */
export type SentError = {
  problem: { code: ProblemCode; facts: Record<string, unknown> } | null
  name: string
  message: string
  stack: string | undefined
  /** The code of a system error, such as ENOSPC. */
  code: string | undefined
  cause: SentError | null
}

export function packError(error: unknown): SentError {
  const { name, message, stack, cause } = error instanceof Error ? error : new Error(String(error))
  const problem = error instanceof Problem ? { code: error.code, facts: error.facts } : null
  return {
    problem,
    name,
    message,
    stack,
    code: problem ? undefined : errorCode(error),
    cause: cause === undefined ? null : packError(cause),
  }
}

export function unpackError({ problem, name, message, stack, code, cause }: SentError): Error {
  const more = cause ? { cause: unpackError(cause) } : {}
  const error = problem
    ? new Problem(problem.code, message, { ...more, facts: problem.facts })
    : Object.assign(new Error(message, more), { name, ...(code !== undefined && { code }) })
  if (stack !== undefined) error.stack = stack
  return error
}
