import type { NewFinding } from '#api/drift/finding.ts'
import type { Certificate } from '#api/drift/report.ts'
import type { CertificateDetail, CertificateSummary } from '#fly/exposure/exposure-api.ts'
import { orAccept } from './addresses.ts'

/** A certificate that ends within so many days is a finding. */
export const expiringDays = 30
const dayMs = 86_400_000
const maxProblemChars = 500

/** A hostname as the report shows it. `detail` null: it was not read. */
export function certificateOf(
  summary: CertificateSummary,
  detail: CertificateDetail | null,
  nowMs: number,
): Certificate {
  const { hostname, configured } = summary
  const entries = detail?.certificates ?? []
  const active = entries.filter(({ status }) => status === 'active')
  // Fly serves an imported one before its own.
  const served = active.find(({ source }) => source === 'custom') ?? active[0]
  const expiresAt = served?.expires_at ?? served?.issued?.[0]?.expires_at ?? null
  const isPast = expiresAt !== null && Date.parse(expiresAt) <= nowMs
  const problem = detail ? problemOf(detail, nowMs) : null
  const isIssued = detail ? served !== undefined : configured === true
  return {
    hostname,
    source: sourceOf(served?.source, summary),
    state: isPast ? 'expired' : isIssued ? 'issued' : problem !== null ? 'failed' : 'pending',
    dns: dnsOf(summary, detail),
    expiresAt,
    problem,
    isRead: detail !== null,
  }
}

/** What Fly says of an issue that failed. */
function problemOf(detail: CertificateDetail, nowMs: number): string | null {
  const texts = (detail.validation_errors ?? [])
    .flatMap(({ message, remediation }) => [message ?? '', remediation ?? ''])
    .map((text) => text.trim())
    .map((text) => ('.!?'.includes(text.slice(-1)) ? text : `${text}.`))
  const until = detail.rate_limited_until
  if (until && Date.parse(until) > nowMs)
    texts.push(`The certificate authority takes no more requests until ${until}.`)
  const text = texts.filter(Boolean).join(' ')
  return text === '' ? null : text.slice(0, maxProblemChars)
}

function sourceOf(
  served: string | null | undefined,
  summary: CertificateSummary,
): Certificate['source'] {
  if (served === 'custom' || served === 'fly') return served
  if (summary.has_custom_certificate) return 'custom'
  return summary.has_fly_certificate ? 'fly' : null
}

/**
 * A hostname leads to the app where Fly has seen its AAAA or A record (`alpn`, `http`). `dns` is the
 * CNAME of the ACME challenge, `ownership` the TXT record. Source: flyctl's `certs setup`.
 */
function dnsOf(summary: CertificateSummary, detail: CertificateDetail | null): Certificate['dns'] {
  const { validation } = detail ?? {}
  const alpn = validation?.alpn_configured ?? summary.acme_alpn_configured
  const http = validation?.http_configured ?? summary.acme_http_configured
  const challenge = validation?.dns_configured ?? summary.acme_dns_configured
  const ownership = validation?.ownership_txt_configured ?? summary.ownership_txt_configured
  if (alpn || http) return 'app'
  if (challenge || ownership) return 'proof'
  const all = [alpn, http, challenge, ownership]
  return all.every((each) => each === false) ? 'none' : 'unknown'
}

/** How the hostnames of an app differ from those expected, and what is wrong with each. */
export function certificateFindings(
  app: string,
  certificates: Certificate[],
  { hostnames, nowMs }: { hostnames: string[] | null; nowMs: number },
): NewFinding[] {
  const known = hostnames ?? certificates.map(({ hostname }) => hostname)
  const gone = known.filter((name) => !certificates.some(({ hostname }) => hostname === name))
  const fresh = certificates.filter(({ hostname }) => !known.includes(hostname))
  return [
    ...gone.map((name) => goneFinding(app, name)),
    ...fresh.map(({ hostname }) => newFinding(app, hostname)),
    ...certificates.flatMap((each) => stateFinding(app, each, nowMs) ?? []),
  ]
}

const goneFinding = (app: string, hostname: string): NewFinding => ({
  code: 'certificate-gone',
  subject: hostname,
  text: `The app has no certificate for ${hostname} any more: browsers refuse the app under this name.`,
  expected: `a certificate for ${hostname}`,
  found: 'no such hostname',
  advice: `To get one again: fly certs add ${quoted(hostname)} -a ${app}. ${orAccept(app)}`,
})

const newFinding = (app: string, hostname: string): NewFinding => ({
  code: 'certificate-new',
  subject: hostname,
  text: `Somebody has given the app the hostname ${hostname}.`,
  expected: 'no such hostname',
  found: `a certificate for ${hostname}, or a request for one`,
  advice: `If nobody needs it: fly certs remove ${quoted(hostname)} -a ${app}. ${orAccept(app)}`,
})

/** What is wrong with one hostname: the gravest of all. */
function stateFinding(app: string, certificate: Certificate, nowMs: number): NewFinding | null {
  const { hostname, state, dns, expiresAt, problem } = certificate
  const check = `fly certs check ${quoted(hostname)} -a ${app}`
  const setUp = `fly certs setup ${quoted(hostname)} -a ${app}`
  const base = { subject: hostname, expected: `a certificate for ${hostname} that is issued` }
  if (state === 'expired')
    return {
      ...base,
      code: 'certificate-expired',
      text: `The certificate of ${hostname} ended on ${dayOf(expiresAt!)}: browsers refuse the app under this name.`,
      found: `a certificate until ${dayOf(expiresAt!)}`,
      advice: renewal(app, certificate),
    }
  if (state === 'failed')
    return {
      ...base,
      code: 'certificate-failed',
      text: `Fly could not get a certificate for ${hostname}: ${problem}`,
      found: 'no certificate, and an error',
      advice: `Mend what the error names, or wait where it says so. Then: ${check}.`,
    }
  if (dns === 'none')
    return {
      ...base,
      code: 'certificate-dns',
      text: `DNS does not lead ${hostname} to the app, and has no record that proves whose name it is. Without one Fly neither gets nor renews its certificate.`,
      expected: `a DNS record that leads ${hostname} to the app, or proves whose it is`,
      found: `none, at Fly's last check`,
      advice: `Make the records that this shows: ${setUp}. Then let Fly look again: ${check}.`,
    }
  if (state === 'pending')
    return {
      ...base,
      code: 'certificate-pending',
      text: `Fly has no certificate for ${hostname} yet.`,
      found: 'a request without a certificate',
      advice: `Fly gets one by itself, mostly within minutes. If it does not: ${check}.`,
    }
  const leftMs = expiresAt === null ? Infinity : Date.parse(expiresAt) - nowMs
  if (leftMs > expiringDays * dayMs) return null
  return {
    ...base,
    code: 'certificate-expiring',
    text: `The certificate of ${hostname} ends on ${dayOf(expiresAt!)}, in ${Math.ceil(leftMs / dayMs)} days.`,
    expected: `a certificate for more than ${expiringDays} days`,
    found: `a certificate until ${dayOf(expiresAt!)}`,
    advice: renewal(app, certificate),
  }
}

const renewal = (app: string, { hostname, source }: Certificate): string =>
  source === 'custom'
    ? `It was imported, so Fly does not renew it. Import a new one: fly certs import ${quoted(hostname)} -a ${app}.`
    : `Fly renews its own certificates by itself. See what keeps it from that: fly certs check ${quoted(hostname)} -a ${app}.`

const dayOf = (time: string): string => time.slice(0, 10)

/** A shell would read the star of a wildcard. */
const quoted = (hostname: string): string => (hostname.includes('*') ? `'${hostname}'` : hostname)
