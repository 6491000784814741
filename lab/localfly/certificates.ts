/** Hostnames of an app and their certificates, in Fly's shapes and as tests set them. */
import { z } from 'zod'

/**
 * One certificate of a hostname. Fly serves an imported one before its own (superfly/docs:
 * machines/api/certificates-resource).
 */
const Entry = z.object({
  status: z.enum(['active', 'pending_ownership', 'pending_validation']),
  expires_at: z.string().optional(),
  created_at: z.string().optional(),
  issuer: z.string().optional(),
})
/** What Fly's last check of a hostname has seen in DNS. */
const Seen = z.object({
  dns: z.boolean(),
  alpn: z.boolean(),
  http: z.boolean(),
  ownership: z.boolean(),
})

export type Hostname = {
  hostname: string
  acme: boolean
  fly: z.infer<typeof Entry> | null
  custom: z.infer<typeof Entry> | null
  /** Of an imported certificate, as PEM. Fly's own are not real here, so the proxy has none. */
  keys?: { fullchain: string; private_key: string }
  /** What DNS has. A check of the hostname makes it known. */
  dns: z.infer<typeof Seen>
  seen: z.infer<typeof Seen>
  errors: { code: string; message: string; remediation: string; timestamp: string }[]
  rateLimitedUntil: string | null
  created_at: string
  updated_at: string
}

/** What this needs of an app. */
type App = {
  id: string
  name: string
  org_slug: string
  ips: { ip: string }[]
  hostnames: Hostname[]
}

/** `PUT /certificates` of the control port: what is not given stays. */
export const CertificateOrder = z.strictObject({
  app: z.string(),
  hostname: z.string(),
  /** What DNS has from now on, as Fly's check sees it. */
  dns: Seen.partial().optional(),
  fly: Entry.nullable().optional(),
  custom: Entry.nullable().optional(),
  /** What Fly says of an issue that failed. */
  error: z.string().nullable().optional(),
  rateLimitedUntil: z.string().nullable().optional(),
})
export type CertificateOrder = z.input<typeof CertificateOrder>

const nothing = { dns: false, alpn: false, http: false, ownership: false }

export function newHostname(hostname: string): Hostname {
  const at = new Date().toISOString()
  return {
    hostname,
    acme: false,
    fly: null,
    custom: null,
    dns: nothing,
    seen: nothing,
    errors: [],
    rateLimitedUntil: null,
    created_at: at,
    updated_at: at,
  }
}

/** Sets a hostname of an app as a test wants it, and makes it where there is none. */
export function setCertificate(app: App, order: z.output<typeof CertificateOrder>): void {
  const found = app.hostnames.find(({ hostname }) => hostname === order.hostname)
  const host = found ?? newHostname(order.hostname)
  if (!found) app.hostnames.push(host)
  const { dns, fly, custom, error, rateLimitedUntil } = order
  if (dns) host.dns = host.seen = Object.assign({}, host.dns, dns)
  if (fly !== undefined) host.fly = fly
  if (custom !== undefined) host.custom = custom
  if (fly) host.acme = true
  if (error !== undefined) host.errors = error === null ? [] : [errorOf(error)]
  if (rateLimitedUntil !== undefined) host.rateLimitedUntil = rateLimitedUntil
}

const errorOf = (message: string) => ({
  code: 'acme_error',
  message,
  remediation: '',
  timestamp: new Date().toISOString(),
})

const entriesOf = ({ custom, fly }: Hostname) => [
  ...(custom ? [{ source: 'custom', ...custom, issued: [] }] : []),
  ...(fly ? [{ source: 'fly', ...fly, issued: issuedOf(fly) }] : []),
]

const issuedOf = ({ status, expires_at }: z.infer<typeof Entry>) =>
  status === 'active' && expires_at
    ? [{ type: 'ecdsa', expires_at, certificate_authority: 'lets_encrypt' }]
    : []

function statusOf(host: Hostname): string {
  const entries = entriesOf(host)
  if (entries.some(({ status }) => status === 'active')) return 'active'
  return host.custom ? 'pending_ownership' : 'pending_validation'
}

export const isConfigured = (host: Hostname): boolean => statusOf(host) === 'active'

export const summaryOf = (host: Hostname) => ({
  hostname: host.hostname,
  status: statusOf(host),
  acme_dns_configured: host.seen.dns,
  acme_alpn_configured: host.seen.alpn,
  acme_http_configured: host.seen.http,
  ownership_txt_configured: host.seen.ownership,
  configured: isConfigured(host),
  acme_requested: host.acme,
  has_custom_certificate: host.custom !== null,
  has_fly_certificate: host.fly !== null,
  created_at: host.created_at,
  updated_at: host.updated_at,
})

export function detailOf(app: App, host: Hostname) {
  const { hostname, seen, errors, rateLimitedUntil } = host
  const bare = hostname.replace(/^\*\./, '')
  return {
    hostname,
    configured: statusOf(host) === 'active',
    acme_requested: host.acme,
    status: statusOf(host),
    ...(rateLimitedUntil !== null && { rate_limited_until: rateLimitedUntil }),
    certificates: entriesOf(host),
    validation: {
      dns_configured: seen.dns,
      alpn_configured: seen.alpn,
      http_configured: seen.http,
      ownership_txt_configured: seen.ownership,
    },
    dns_requirements: {
      a: app.ips.map(({ ip }) => ip).filter((ip) => ip.includes('.')),
      aaaa: app.ips.map(({ ip }) => ip).filter((ip) => ip.includes(':') && !ip.startsWith('fdaa:')),
      cname: `${app.name}.localhost`,
      acme_challenge: { name: `_acme-challenge.${bare}`, target: `${bare}.${app.id}.flydns.net` },
      ownership: {
        name: `_fly-ownership.${bare}`,
        app_value: `app-${app.id}`,
        org_value: `org-${app.org_slug}`,
      },
    },
    validation_errors: errors,
  }
}
