import { FlyError } from './fly-error.ts'
import { acquireLease, currentLease, releaseLease } from './leases.ts'
import { machinePath, type Routes } from './routes.ts'
import type { FlyState } from './state.ts'

export function leaseRoutes(routes: Routes, state: FlyState): void {
  const on = routes.on.bind(routes)
  on('get', `${machinePath}/lease`, ({ machine }) => {
    const lease = currentLease(machine)
    if (!lease) throw new FlyError(404, 'not_found: lease not found')
    const { nonce: _secret, ...shown } = lease
    return { status: 'success', data: shown }
  })
  on('post', `${machinePath}/lease`, ({ machine, query, body, nonce }) => {
    const ttlSeconds = Number(query.get('ttl') ?? body['ttl'] ?? 30)
    if (!(ttlSeconds >= 1)) throw new FlyError(400, 'invalid_argument: ttl must be at least 1')
    const { description } = body
    const request = { ttlSeconds, ...(typeof description === 'string' && { description }) }
    const lease = acquireLease(machine, request, nonce)
    state.save()
    return { status: 'success', data: lease }
  })
  on('delete', `${machinePath}/lease`, ({ machine, nonce }) => {
    releaseLease(machine, nonce)
    state.save()
    return { status: 'success', data: { ok: true } }
  })
}
