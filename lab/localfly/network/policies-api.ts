import { randomBytes } from 'node:crypto'
import { FlyError } from '../fly-error.ts'
import { parse, type Routes } from '../routes.ts'
import type { FlyState } from '../state.ts'
import { NewPolicy } from './policy-rules.ts'

const path = '/apps/:app/network_policies'

/**
 * Network policies of an app (superfly/docs: machines/guides-examples/network-policies). They are
 * not in Fly's OpenAPI document. Requests are documented; the shapes and codes of answers are not
 * established. A policy has ports and protocols, and no addresses or names.
 */
export function policyRoutes(routes: Routes, state: FlyState): void {
  routes.on('get', path, ({ app }) => app.policies ?? [])
  routes.on('post', path, ({ app, body }) => {
    const request = parse(NewPolicy, body)
    const isNew = request.id === undefined
    const policy = { ...request, id: request.id ?? randomBytes(8).toString('hex') }
    const others = (app.policies ?? []).filter(({ id }) => id !== policy.id)
    if (!isNew && others.length === (app.policies ?? []).length) throw unknown(policy.id)
    app.policies = [...others, policy]
    state.save()
    return policy
  })
  routes.on('delete', `${path}/:policy`, ({ app, params }) => {
    const id = params['policy'] ?? ''
    if (!app.policies?.some((policy) => policy.id === id)) throw unknown(id)
    app.policies = app.policies.filter((policy) => policy.id !== id)
    state.save()
  })
}

const unknown = (id: string) => new FlyError(404, `not_found: network policy not found: '${id}'`)
