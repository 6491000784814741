import { z } from 'zod'
import type { ProblemBody } from './problem/body.ts'
import { problems, type ProblemCode } from './problem/codes.ts'
import { plainFault } from './text/plain-fault.ts'

// Details of problems quote what a schema finds wrong.
z.config({ customError: plainFault })

/**
 * The error class of all expected failures: a code from the table, a detail for this case, facts
 * for programs, and the cause.
 */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly facts: Record<string, unknown>

  constructor(
    code: ProblemCode,
    detail: string,
    more: { cause?: unknown; facts?: Record<string, unknown> } = {},
  ) {
    super(detail, { cause: more.cause })
    this.name = 'Problem'
    this.code = code
    this.facts = more.facts ?? {}
  }

  get status(): number {
    return problems[this.code].status
  }

  body(): ProblemBody {
    return {
      ...this.facts,
      type: `/problems/${this.code}`,
      code: this.code,
      ...problems[this.code],
      detail: this.message,
    }
  }

  static from(body: ProblemBody): Problem {
    const {
      type: _type,
      code,
      title: _title,
      status: _status,
      detail,
      fault: _fault,
      retry: _retry,
      ...facts
    } = body
    return new Problem(code, detail, { facts })
  }
}

/**
 * Turns any error into a Problem. Unexpected errors become `internal`, with the cause for the
 * operator's log.
 */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  return new Problem('internal', 'Something went wrong inside the gateway; its log says what.', {
    cause: error,
  })
}
