import { z } from 'zod'
import { Problem } from '#api/problem.ts'
import { webApi } from '../endpoints/fly-apis.ts'
import { type Endpoint, FlyCalls, orNull } from '../fly-calls.ts'

/** Source: `CertificateSummary` of fly.md's OpenAPI and of fly-go's `types.go`. */
const Summary = z.object({
  hostname: z.string(),
  configured: z.boolean().nullish(),
  acme_dns_configured: z.boolean().nullish(),
  acme_alpn_configured: z.boolean().nullish(),
  acme_http_configured: z.boolean().nullish(),
  ownership_txt_configured: z.boolean().nullish(),
  has_custom_certificate: z.boolean().nullish(),
  has_fly_certificate: z.boolean().nullish(),
})
export type CertificateSummary = z.infer<typeof Summary>
const Page = z.object({
  certificates: z.array(Summary).nullish(),
  next_cursor: z.string().nullish(),
})

/** `pending_ownership` and `pending_validation` beside `active`. */
const Entry = z.object({
  source: z.string().nullish(),
  status: z.string().nullish(),
  expires_at: z.string().nullish(),
  issued: z.array(z.object({ expires_at: z.string().nullish() })).nullish(),
})

/** Source: `CertificateDetail` of fly.md's OpenAPI, with examples in superfly/docs: machines/api/certificates-resource. */
const Detail = z.object({
  hostname: z.string(),
  rate_limited_until: z.string().nullish(),
  certificates: z.array(Entry).nullish(),
  validation: z
    .object({
      dns_configured: z.boolean().nullish(),
      alpn_configured: z.boolean().nullish(),
      http_configured: z.boolean().nullish(),
      ownership_txt_configured: z.boolean().nullish(),
    })
    .nullish(),
  validation_errors: z
    .array(z.object({ message: z.string().nullish(), remediation: z.string().nullish() }))
    .nullish(),
})
export type CertificateDetail = z.infer<typeof Detail>

/** As fly-go's `resource_ip_addresses.go` asks: no call of the Machines API says the network. */
const networksQuery = `query($appName: String!) {
  app(name: $appName) {
    ipAddresses { nodes { address network { name organization { slug } } } }
  }
}`
const Networks = z.object({
  errors: z.array(z.object({ message: z.string() })).nullish(),
  data: z
    .object({
      app: z.object({
        ipAddresses: z.object({
          nodes: z.array(
            z.object({
              address: z.string(),
              network: z
                .object({
                  name: z.string(),
                  organization: z.object({ slug: z.string().nullish() }).nullish(),
                })
                .nullish(),
            }),
          ),
        }),
      }),
    })
    .nullish(),
})
export type IpNetwork = { name: string; organization: string | null }

/** flyctl asks for 50 at once; Fly does not document the most. */
const pageSize = 50
const maxPages = 100

/**
 * How an app can be reached: its certificates by the Machines API, and the networks of its Flycast
 * addresses by Fly's web API. Throws the same problems as `MachinesApi`.
 */
export class ExposureApi {
  readonly #machines: FlyCalls
  readonly #web: FlyCalls

  constructor({ machines, web }: { machines: Endpoint; web: Endpoint }) {
    this.#machines = new FlyCalls(machines)
    this.#web = new FlyCalls(web, webApi)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#machines[Symbol.asyncDispose]()
    await this.#web[Symbol.asyncDispose]()
  }

  /** All hostnames of the app: 5,000 at most. */
  async certificates(app: string, signal: AbortSignal): Promise<CertificateSummary[]> {
    const all: CertificateSummary[] = []
    const query = new URLSearchParams({ limit: `${pageSize}` })
    for (let page = 0; page < maxPages; page++) {
      const path = `/apps/${app}/certificates?${query.toString()}`
      const call = { path, action: 'list-certificates', id: app, answer: Page }
      const { certificates, next_cursor: next } = await this.#machines.read(call, signal)
      all.push(...(certificates ?? []))
      if (!next) break
      query.set('cursor', next)
    }
    return all
  }

  /** What Fly knows since its last check of the hostname. Null: the app has no such hostname. */
  certificate(
    app: string,
    hostname: string,
    signal: AbortSignal,
  ): Promise<CertificateDetail | null> {
    const path = `/apps/${app}/certificates/${encodeURIComponent(hostname).replaceAll('*', '%2A')}`
    const call = { path, action: 'certificate', id: app, answer: Detail }
    return orNull(this.#machines.read(call, signal))
  }

  /** The networks of the app's addresses, as far as Fly says them. */
  async networks(app: string, signal: AbortSignal): Promise<Map<string, IpNetwork>> {
    const body = { query: networksQuery, variables: { appName: app } }
    const call = { path: '/graphql', action: 'ip-networks', id: app, answer: Networks } as const
    const { data, errors } = await this.#web.call({ ...call, method: 'POST', body }, signal)
    if (!data) {
      const fly = errors?.map(({ message }) => message).join('; ') ?? 'no data'
      throw new Problem('fly-refused', `Fly refused (POST /graphql: ${fly}).`, {
        facts: { status: 200, fly },
      })
    }
    return new Map(
      data.app.ipAddresses.nodes.flatMap(({ address, network }): [string, IpNetwork][] => {
        if (!network) return []
        const { name, organization } = network
        return [[address, { name, organization: organization?.slug ?? null }]]
      }),
    )
  }
}
