import { z } from 'zod'
import { detailOf, type Hostname, newHostname, summaryOf } from './certificates.ts'
import { FlyError } from './fly-error.ts'
import { parse, type Routes } from './routes.ts'
import type { App, FlyState } from './state.ts'

/** Let's Encrypt's certificates: 90 days (letsencrypt.org/docs/faq). */
const lifeMs = 90 * 86_400_000
const pageSize = 50

const Name = z
  .string()
  .max(253)
  .regex(/^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*$/)
const Acme = z.object({ hostname: Name })
const Custom = z.object({
  hostname: Name,
  fullchain: z.string().min(1),
  private_key: z.string().min(1),
})

/**
 * Certificates, as superfly/docs (machines/api/certificates-resource) has them: a hostname begins
 * without a certificate, a check looks at DNS and issues one, and removing one leaves the other.
 * The proxy serves an imported one. Nothing is issued by anybody, and what DNS has is set at the control port.
 */
export function certificateRoutes(routes: Routes, state: FlyState): void {
  const changed = (app: App, host: Hostname) => {
    host.updated_at = new Date().toISOString()
    state.save()
    return detailOf(app, host)
  }

  routes.on('get', '/apps/:app/certificates', ({ app, query }) => {
    const limit = Number(query.get('limit') ?? pageSize)
    const from = Number(query.get('cursor') ?? 0)
    const found = app.hostnames.filter(({ hostname }) =>
      hostname.includes(query.get('filter') ?? ''),
    )
    const next = from + limit < found.length ? { next_cursor: `${from + limit}` } : {}
    const page = found.slice(from, from + limit).map(summaryOf)
    return { certificates: page, total_count: found.length, ...next }
  })
  routes.on('post', '/apps/:app/certificates/acme', ({ app, body }) => {
    const host = add(app, parse(Acme, body).hostname)
    host.acme = true
    return changed(app, host)
  })
  routes.on('post', '/apps/:app/certificates/custom', ({ app, body }) => {
    const { hostname, ...keys } = parse(Custom, body)
    const host = add(app, hostname)
    host.keys = keys
    const created_at = new Date().toISOString()
    host.custom = { status: host.seen.ownership ? 'active' : 'pending_ownership', created_at }
    return changed(app, host)
  })
  routes.on('get', '/apps/:app/certificates/:hostname', ({ app, params }) =>
    detailOf(app, hostOf(app, params['hostname'])),
  )
  routes.on('delete', '/apps/:app/certificates/:hostname', ({ app, params }) => {
    const host = hostOf(app, params['hostname'])
    app.hostnames = app.hostnames.filter((other) => other !== host)
    state.save()
  })
  routes.on('delete', '/apps/:app/certificates/:hostname/acme', ({ app, params }) => {
    const host = hostOf(app, params['hostname'])
    host.acme = false
    host.fly = null
    return changed(app, host)
  })
  routes.on('delete', '/apps/:app/certificates/:hostname/custom', ({ app, params }) => {
    const host = hostOf(app, params['hostname'])
    host.custom = null
    delete host.keys
    return changed(app, host)
  })
  routes.on('post', '/apps/:app/certificates/:hostname/check', ({ app, params }) => {
    const host = hostOf(app, params['hostname'])
    check(host)
    const { dns } = host
    const ips = app.ips.map(({ ip }) => ip).filter((ip) => !ip.startsWith('fdaa:'))
    const dns_records = {
      a: dns.http ? ips.filter((ip) => ip.includes('.')) : [],
      aaaa: dns.alpn ? ips.filter((ip) => ip.includes(':')) : [],
      cname: [],
      resolved_addresses: dns.http || dns.alpn ? ips : [],
    }
    return { ...changed(app, host), dns_records }
  })
}

/** Throws Fly's 404 for a hostname that the app does not have. */
function hostOf(app: App, name: string | undefined): Hostname {
  const host = app.hostnames.find(({ hostname }) => hostname === name)
  if (!host) throw new FlyError(404, `not_found: certificate not found: ${name}`)
  return host
}

function add(app: App, hostname: string): Hostname {
  const known = app.hostnames.find((host) => host.hostname === hostname)
  const host = known ?? newHostname(hostname)
  if (!known) app.hostnames.push(host)
  return host
}

/** Looks at DNS, and issues what it allows. An error stays until the issue succeeds. */
function check(host: Hostname): void {
  const { dns } = host
  host.seen = dns
  const created_at = new Date().toISOString()
  if (host.custom && dns.ownership) host.custom.status = 'active'
  const isProved = dns.dns || dns.alpn || dns.ownership
  if (!host.acme || host.fly?.status === 'active' || !isProved || host.errors.length > 0) return
  const expires_at = new Date(Date.now() + lifeMs).toISOString()
  host.fly = { status: 'active', created_at, expires_at }
}
