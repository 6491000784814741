import type { IncomingHttpHeaders } from 'node:http'
import { flyAddresses } from '../network/fly-names.ts'
import { flycastNetworks, networkAt, networkOf } from '../network/networks.ts'
import { hostnameIn } from './hostnames.ts'
import type { FlyState, Machine } from '../state.ts'
import { Refusal, serviceOf, type Target } from './traffic.ts'

/** How a request came in: its headers, the port that was called, and the caller's address. */
export type Arrival = {
  headers: IncomingHttpHeaders
  port: number | undefined
  caller: string | undefined
}

/**
 * The target of a request from outside: `<app>.localhost` or a hostname of an app, on any port. Nothing but Fly's own
 * headers chooses the machine (superfly/docs: networking/dynamic-request-routing, "Alternative
 * Routing Headers").
 */
export function publicTarget({ headers }: Arrival, state: FlyState): Target {
  const { host = '' } = headers
  const app = /^([^.:]+)\.localhost(?::\d+)?$/i.exec(host)?.[1]
  const named = app ?? hostnameIn(state, host)?.app.name
  if (!named) throw new Refusal(404, `No app is named by the host "${host}": use <app>.localhost.`)
  if (!state.apps.has(named)) throw new Refusal(404, `There is no app "${named}".`)
  return { app: named, port: null, ...chosenBy(headers) }
}

/**
 * The target of a machine's request to `<app>.flycast`, on the service of the port that it called.
 * Null where the app has no Flycast address in the machine's network: on Fly no packet arrives then.
 */
export function flycastTarget({ headers, port, caller }: Arrival, state: FlyState): Target | null {
  const app = /^([^.:]+)\.flycast(?::\d+)?$/i.exec(headers.host ?? '')?.[1]
  if (!app || !flycastNetworks(state, app).includes(networkAt(state, caller ?? ''))) return null
  return { app, port: port ?? null, ...chosenBy(headers) }
}

/**
 * `<name>.internal.localhost`: what a WireGuard peer in the app's network reaches at
 * `<name>.internal`. It is not the proxy: the machine must run, and the request goes to the port of
 * its service. Null for other hosts.
 */
export function peerTarget({ headers }: Arrival, state: FlyState): Machine | null {
  const [, name, app] =
    /^((?:.+\.)?([^.]+)\.internal)\.localhost(?::\d+)?$/i.exec(headers.host ?? '') ?? []
  if (name === undefined || app === undefined) return null
  const network = networkOf(state, app)
  const [address] = flyAddresses(name.toLowerCase(), { state, network, host: '' }) ?? []
  const found = state.machinesOf(app).find((machine) => machine.private_ip === address)
  if (!found || !serviceOf(found)) throw new Refusal(502, `No machine has the name ${name}.`)
  return found
}

function chosenBy(headers: IncomingHttpHeaders): Omit<Target, 'app' | 'port'> {
  const header = (name: string) => headers[`fly-${name}`]?.toString()
  const force = header('force-region')?.split(',')
  const prefer = header('prefer-region')?.split(',')
  return {
    instance: header('force-instance-id') ?? null,
    prefer: header('prefer-instance-id') ?? null,
    avoid: null,
    regions: force ?? (prefer ? [...prefer, 'any'] : []),
  }
}
