import { RouterAnswer } from '#api/router/router.ts'
import { fill, routes } from '#api/routes.ts'
import { readAnswer } from '../answers.ts'
import { followToEnd } from '../follow-deployment.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'
import type { RouterRequest } from './read-router.ts'

/** Deploys the router of an app, and follows that to its end. Or deletes it. */
export async function router(
  { app, domain, release, isRemoval }: RouterRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const path = fill(routes.router, { app })
  const asked = isRemoval
    ? await gateway.ask('DELETE', path, signal)
    : await gateway.ask('POST', path, signal, { domain, release })
  const answer = readAnswer(RouterAnswer, asked)
  for (const warning of answer.warnings) printer.note(`warning: ${warning}`)
  if (isRemoval) return printer.result(answer, [`deleted ${answer.router}, the router of ${app}`])
  if (answer.deployment === null)
    return printer.result(answer, [`${answer.router} runs as it should: nothing to deploy`])
  const deployment = await gateway.find(answer.deployment, signal)
  return followToEnd(deployment, gateway, printer, { signal })
}
