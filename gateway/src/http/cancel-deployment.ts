import type { RequestHandler } from 'express'
import { isFinal } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { HttpParts } from './http-app.ts'
import { queryOf } from './receive-source.ts'

const words = /^[^\p{Cc}]{0,200}$/u

/** `POST /v1/deployments/{id}/cancel?by=&why=&abort=true`: 200 when it has ended, 202 while it still stops. */
export function cancelDeployment({ cancel }: Pick<HttpParts, 'cancel'>): RequestHandler {
  return async (request, response) => {
    const query = queryOf(request)
    const unknown = [...query.keys()].find((name) => !['by', 'why', 'abort'].includes(name))
    if (unknown) throw new Problem('option-unknown', `A cancel knows by, why and abort; not ${unknown.slice(0, 100)}.`)
    const text = (name: string) => {
      const value = query.get(name)
      if (!words.test(value ?? ''))
        throw new Problem('option-invalid', `${name} is one line of at most 200 characters.`)
      return value || null
    }
    const wish = { by: text('by'), why: text('why'), abort: query.get('abort') === 'true' }
    const deployment = await cancel(String(request.params['id']), wish)
    response.status(isFinal(deployment.state) ? 200 : 202).json(deployment)
  }
}
