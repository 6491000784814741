import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Autostop } from './proxy/autostop.ts'
import { FlySchema } from './fly-schema.ts'
import { Flycast } from './proxy/flycast.ts'
import { Flyd } from './flyd.ts'
import { hostileApi } from './hostile-api.ts'
import { controlPort, flyControl } from './hostile-control.ts'
import { Hostile } from './hostile.ts'
import { Issuer } from '../issuer.ts'
import { RequestLimits } from './limits.ts'
import { Scraper } from './metrics/scraper.ts'
import { macOf } from './network/machine-network.ts'
import { machinesApi } from './machines-api.ts'
import { RegistryMirror } from './mirror.ts'
import { startFlyNames } from './network/name-server.ts'
import { Podman } from './podman.ts'
import { createProxy } from './proxy/proxy.ts'
import { org_slug } from './org-pages.ts'
import { insidePorts, openBridge, readOnly } from './network/inside.ts'
import { forward, registryFront } from './registry-front.ts'
import { FlyState } from './state.ts'
import { Traffic } from './proxy/traffic.ts'

export type LocalflyOptions = {
  dir: string
  /** Distinguishes labs in one folder. */
  name: string
  /** Ports on loopback. 0 picks a free one. */
  apiPort: number
  proxyPort: number
  controlPort?: number
  registryFrontPort: number
  /** Of the registry mirror. Default: a free one. */
  mirrorPort?: number
  /** host:port of the lab's registry. */
  registry: string
  token: string
  /** Whether Fly's request limits apply. The control port can change it later. */
  limits?: boolean
}

/**
 * Starts Fly offline: the Machines API, machines that really run, the proxy before them and the
 * registry's front.
 */
export async function startLocalfly(options: LocalflyOptions) {
  const { registry, token } = options
  await using opening = new AsyncDisposableStack()
  const state = new FlyState(join(options.dir, 'localfly'))
  const podman = new Podman(options)
  podman.open()
  opening.defer(() => podman.sweep())
  await openBridge(podman.bridge, podman.hostAddress, macOf(podman.hostAddress))
  const hostile = new Hostile(state)
  const issuer = await Issuer.create()
  const flyd = opening.use(new Flyd({ state, podman, registry, hostile, issuer }))
  hostile.onGone = (machine) => flyd.startStandbys(machine)
  await flyd.adopt()
  const inside = (handler: RequestListener | Server, port: number) =>
    listen(handler, { host: podman.hostAddress, port }, opening)
  const frontOf = registryFront({ state, token, registry })
  const front = await listen(frontOf, options.registryFrontPort, opening)
  await inside(frontOf, insidePorts.registry)
  await inside(
    readOnly((req, res) => forward(req, res, registry)),
    insidePorts.images,
  )
  const mirror = opening.use(new RegistryMirror({ state, token, registry }))
  const mirrorPort = await mirror.listen(options.mirrorPort ?? 0)
  await inside(mirror.handler, insidePorts.mirror)
  const traffic = new Traffic({ state, flyd, hostile })
  const autostop = opening.use(new Autostop({ state, flyd, traffic }))
  const proxy = await listen(createProxy(state, traffic), options.proxyPort, opening)
  const tls = await listen(createProxy(state, traffic, { tls: true }), 0, opening)
  const openFlycast = () => createProxy(state, traffic, { flycast: true })
  const host = podman.hostAddress
  opening.use(await Flycast.start({ state, host, proxy: openFlycast }))
  opening.use(await startFlyNames(state, host))
  const schema = new FlySchema()
  const limits = new RequestLimits()
  limits.hold = options.limits ?? true
  const scraper = opening.use(new Scraper(state, traffic))
  const api = machinesApi({ state, flyd, token, limits, schema, registry, scraper })
  const faultyApi = hostileApi({ api, state, hostile })
  const issuerPath = `/oidc/${org_slug}`
  const apiPort = await listen(
    (req, res) => issuer.answer(req, res, issuerPath) || faultyApi(req, res),
    options.apiPort,
    opening,
  )
  issuer.url = `http://127.0.0.1:${apiPort}${issuerPath}`
  await inside(faultyApi, insidePorts.api)
  const control = await listen(
    controlPort({ hostile, autostop, limits, mirror, state, scraper }),
    options.controlPort ?? 0,
    opening,
  )
  const open = opening.move()
  return {
    flyApi: `http://127.0.0.1:${apiPort}`,
    apps: `http://localhost:${proxy}`,
    /** The same over TLS, for hostnames with an imported certificate. */
    appsTls: `https://localhost:${tls}`,
    /** Signs the tokens of machines. On Fly it is `https://oidc.fly.io/ORG`. */
    oidcIssuer: issuer.url,
    registry: `127.0.0.1:${front}`,
    /** The mirror of the registry, as `http://host:port`. */
    mirror: `http://127.0.0.1:${mirrorPort}`,
    flyControl: `http://127.0.0.1:${control}`,
    /** Where machines reach the API, the registry, and base images. */
    inside: {
      api: `http://_api.internal:${insidePorts.api}`,
      registry: `${podman.hostAddress}:${insidePorts.registry}`,
      images: `${podman.hostAddress}:${insidePorts.images}`,
    },
    /** The control port as typed calls. */
    fly: flyControl(`http://127.0.0.1:${control}`),
    /** Answers that did not have Fly's shape. There should be none. */
    breaches: schema.breaches,
    async [Symbol.asyncDispose]() {
      await open.disposeAsync()
      if (schema.breaches.length > 0)
        throw new Error(`localfly broke Fly's API: ${schema.breaches.join('; ')}`)
    },
  }
}

/** Removes the containers, network and mounts of a killed localfly. */
export async function sweepLocalfly(lab: { dir: string; name: string }): Promise<void> {
  await new Podman(lab).sweep()
}

async function listen(
  handler: RequestListener | Server | TlsServer,
  at: number | { host: string; port: number },
  closing: AsyncDisposableStack,
): Promise<number> {
  const { host, port } = typeof at === 'number' ? { host: '127.0.0.1', port: at } : at
  const server = typeof handler === 'function' ? createServer(handler) : handler
  // An upload may take longer than Node's default allows.
  server.requestTimeout = 0
  server.listen(port, host)
  await once(server, 'listening')
  closing.defer(async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  })
  return (server.address() as AddressInfo).port
}
