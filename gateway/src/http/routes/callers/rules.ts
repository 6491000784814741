import type { Express } from 'express'
import { readRule } from '#api/callers/rule.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { jsonObject } from '../../body/small-body.ts'
import { knownQuery } from '../../query.ts'

/** `GET` and `POST /v1/rules`, and `DELETE /v1/rules/{name}`. */
export function addRuleRoutes(
  app: Express,
  { rules }: Pick<Commands, 'rules'>,
  { bodyMs }: { bodyMs?: number },
): void {
  app.get(routes.rules, async (request, response) => {
    knownQuery(request)
    response.json({ rules: await rules.list(callerOf(request)) })
  })
  app.post(routes.rules, async (request, response) => {
    const caller = callerOf(request)
    const rule = readRule(await jsonObject(request, response, bodyMs))
    response.status(201).json(await rules.add(caller, rule))
  })
  app.delete(routes.rule, async (request, response) => {
    knownQuery(request)
    await rules.remove(callerOf(request), request.params.name)
    response.status(204).end()
  })
}
