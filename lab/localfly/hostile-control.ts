import type { RequestListener } from 'node:http'
import { json } from 'node:stream/consumers'
import { z } from 'zod'
import type { Autostop } from './autostop.ts'
import { type Hostile, Hostility, type Strike } from './hostile.ts'

/** The port that tells localfly to misbehave; no part of Fly's API. `PUT`, `GET` and `DELETE /hostile`, `PUT /autostop`. */
export function controlPort({ hostile, autostop }: { hostile: Hostile; autostop: Autostop }): RequestListener {
  const answer = async (name: string, body: () => Promise<unknown>): Promise<[number, unknown]> => {
    if (name === 'PUT /hostile') hostile.set(Hostility.parse(await body()))
    else if (name === 'DELETE /hostile') {
      const report = hostile.report()
      hostile.set(Hostility.parse({}))
      return [200, report]
    } else if (name === 'PUT /autostop') autostop.set(AutostopWish.parse(await body()).idleMs)
    else if (name !== 'GET /hostile') return [404, { error: `there is no ${name}` }]
    return [200, hostile.report()]
  }
  return (req, res) =>
    void answer(`${req.method} ${req.url}`, () => json(req))
      .catch((error: unknown): [number, unknown] => [400, { error: String(error) }])
      .then(([status, body]) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)))
}

const AutostopWish = z.strictObject({ idleMs: z.number().min(100) })

export type FlyControl = ReturnType<typeof flyControl>

/** The control port as typed calls. */
export function flyControl(url: string) {
  const call = async (method: string, path: string, body?: object) => {
    const sent = body && { body: JSON.stringify(body) }
    const answer = await fetch(url + path, { method, ...sent, signal: AbortSignal.timeout(10_000) })
    if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`)
    return (await answer.json()) as { seed: number; strikes: Strike[] }
  }
  return {
    /** These faults from now on, in place of those before. */
    hostile: (wish: Hostility) => call('PUT', '/hostile', wish),
    /** No more faults; tells what struck. */
    calm: () => call('DELETE', '/hostile'),
    strikes: async () => (await call('GET', '/hostile')).strikes,
    /** How long a machine is idle before the proxy stops it, where its service says so. */
    autostopAfter: (idleMs: number) => call('PUT', '/autostop', { idleMs }),
  }
}
