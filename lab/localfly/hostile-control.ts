import type { RequestListener } from 'node:http'
import { json } from 'node:stream/consumers'
import { z } from 'zod'
import { CertificateOrder, setCertificate } from './certificates.ts'
import type { Autostop } from './proxy/autostop.ts'
import type { Scraper } from './metrics/scraper.ts'
import { type Hostile, Hostility, type Strike } from './hostile.ts'
import type { RequestLimits } from './limits.ts'
import type { RegistryMirror } from './mirror.ts'
import { type MirrorOrder, type MirrorRequest, MirrorRules } from './mirror-rules.ts'
import type { FlyState } from './state.ts'

type Parts = {
  hostile: Hostile
  autostop: Autostop
  limits: RequestLimits
  mirror: RegistryMirror
  state: FlyState
  scraper: Scraper
}

/**
 * The control port that makes localfly misbehave. It is not part of Fly's API. `PUT` and `GET
 * /hostile`, `PUT /autostop`, `PUT /limits`, `PUT` and `GET /mirror`, `PUT /certificates`, `PUT
 * /scrape`.
 */
export function controlPort({
  hostile,
  autostop,
  limits,
  mirror,
  state,
  scraper,
}: Parts): RequestListener {
  const answer = async (name: string, body: () => Promise<unknown>): Promise<[number, unknown]> => {
    if (name === 'PUT /hostile') return [200, hostile.set(Hostility.parse(await body()))]
    if (name === 'GET /hostile') return [200, hostile.strikesOn()]
    if (name === 'GET /mirror') return [200, mirror.requests]
    if (name === 'PUT /mirror') await mirror.set(MirrorRules.parse(await body()))
    else if (name === 'PUT /autostop') autostop.set(AutostopSettings.parse(await body()).idleMs)
    else if (name === 'PUT /scrape') await scraper.scrape()
    else if (name === 'PUT /limits') limits.hold = LimitsSettings.parse(await body()).hold
    else if (name === 'PUT /certificates') {
      const order = CertificateOrder.parse(await body())
      const app = state.apps.get(order.app)
      if (!app) return [404, { error: `there is no app ${order.app}` }]
      setCertificate(app, order)
      state.save()
    } else return [404, { error: `there is no ${name}` }]
    return [200, {}]
  }
  return (req, res) =>
    void answer(`${req.method} ${req.url}`, () => json(req))
      .catch((error: unknown): [number, unknown] => [400, { error: String(error) }])
      .then(([status, body]) =>
        res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
      )
}

const AutostopSettings = z.strictObject({ idleMs: z.number().min(100) })
const LimitsSettings = z.strictObject({ hold: z.boolean() })

export type FlyControl = ReturnType<typeof flyControl>

/** The control port as typed calls. */
export function flyControl(url: string) {
  const call = async <T = Strike[]>(method: string, path: string, body?: object) => {
    const sent = body && { body: JSON.stringify(body) }
    const answer = await fetch(url + path, { method, ...sent, signal: AbortSignal.timeout(10_000) })
    if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`)
    return (await answer.json()) as T
  }
  return {
    /** Replaces the faults. Returns the strikes of the earlier ones. */
    hostile: (request: Hostility) => call('PUT', '/hostile', request),
    /** Removes all faults, or those of one app. Returns their strikes. */
    calm: (app?: string) => call('PUT', '/hostile', app === undefined ? {} : { app }),
    strikes: () => call('GET', '/hostile'),
    /** Sets how long a machine is idle before the proxy stops it, where its service allows that. */
    autostopAfter: (idleMs: number) => call('PUT', '/autostop', { idleMs }),
    /** Switches Fly's request limits. */
    limits: (hold: boolean) => call('PUT', '/limits', { hold }),
    /** Measures all machines now: nothing waits for the next 15 s. */
    scrape: () => call<object>('PUT', '/scrape', {}),
    /** Sets a hostname of an app, its certificates, and what DNS has. */
    certificate: (order: CertificateOrder) => call<object>('PUT', '/certificates', order),
    /** Replaces the rules of the registry mirror, and forgets its requests. */
    mirror: (order: MirrorOrder) => call<object>('PUT', '/mirror', order),
    /** The requests that the registry mirror got since then. */
    mirrorRequests: () => call<MirrorRequest[]>('GET', '/mirror'),
  }
}
