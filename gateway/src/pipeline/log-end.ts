import { problems } from '#api/problem/codes.ts'
import type { Problem } from '#api/problem.ts'
import type { Logger } from '../log.ts'

/** Says in the operator's log how a deployment ended. */
export function logEnd(log: Logger, problem: Problem | null, ms: number): void {
  if (!problem) log.info({ ms }, 'deployment left')
  else if (problems[problem.code].fault === 'source')
    log.info({ ms, code: problem.code }, 'deployment failed')
  else
    log.error(
      { ms, code: problem.code, err: problem.cause ?? problem },
      'deployment failed by no fault of the source',
    )
}
