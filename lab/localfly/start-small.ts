import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { FlySchema } from './fly-schema.ts'
import { Flyd } from './flyd.ts'
import { hostileApi } from './hostile-api.ts'
import { Hostile, Hostility } from './hostile.ts'
import { RequestLimits } from './limits.ts'
import { machinesApi } from './machines-api.ts'
import { NoContainers } from './no-containers.ts'
import { createProxy } from './proxy/proxy.ts'
import { Traffic } from './proxy/traffic.ts'
import { FlyState } from './state.ts'

/**
 * Localfly for tests of callers that need no real machines: the same API and faults, and machines
 * that are no containers. Every image exists. `around`: wraps the handler of the API.
 */
export async function startSmallFly(
  dir: string,
  {
    token,
    around = (handler) => handler,
  }: {
    token: string
    around?: (handler: RequestListener) => RequestListener
  },
) {
  await using opening = new AsyncDisposableStack()
  const images = await listen(opening, (_, response) => {
    response.writeHead(200, { 'docker-content-digest': `sha256:${'b'.repeat(64)}` }).end()
  })
  const registry = images.replace('http://', '')
  const state = new FlyState(join(dir, 'localfly'))
  const hostile = new Hostile(state)
  const containers = opening.use(new NoContainers())
  const flyd = opening.use(new Flyd({ state, podman: containers, registry, hostile }))
  const limits = new RequestLimits()
  limits.hold = false
  const schema = new FlySchema()
  const api = machinesApi({ state, flyd, token, limits, schema, registry })
  const flyApi = await listen(opening, around(hostileApi({ api, state, hostile })))
  const proxy = createProxy(state, new Traffic({ state, flyd, hostile }))
  const apps = await listenAt(opening, proxy)

  const open = opening.move()
  return {
    state,
    containers,
    flyApi,
    /** Fly's proxy: `<app>.localhost` in the header `Host` names the app. */
    apps,
    /** Answers that did not have Fly's shape. */
    breaches: schema.breaches,
    /** Replaces the faults. */
    be: (hostility: Hostility) => void hostile.set(Hostility.parse(hostility)),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

const listen = (opening: AsyncDisposableStack, handler: RequestListener): Promise<string> =>
  listenAt(opening, createServer(handler))

async function listenAt(opening: AsyncDisposableStack, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opening.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
