import { flycastNetworks, networkOf } from './networks.ts'
import type { FlyState, Machine } from '../state.ts'

/**
 * Fly's internal names (superfly/docs: networking/private-networking, networking/flycast), with
 * addresses of the lab's bridge (IPv4) in place of 6PN ones. There are no TXT records. `host`:
 * where machines reach Fly's proxy and its API.
 *
 * A name holds only in the network of the machine that asks. `.internal` names lead to started
 * machines, `<id>.vm` also to one that starts. `<app>.flycast` is there while the app has a Flycast
 * address in that network, whatever its machines do.
 *
 * Returns null for a name that does not exist, and undefined for a name that is not Fly's.
 */
export function flyAddresses(
  name: string,
  { state, network, host }: { state: FlyState; network: string; host: string },
): string[] | null | undefined {
  if (name === '_api.internal') return [host]
  const flycast = /^([^.]+)\.flycast$/.exec(name)?.[1]
  if (flycast !== undefined)
    return flycastNetworks(state, flycast).includes(network) ? [host] : null
  if (!/\.(internal|flycast)$/.test(name)) return undefined

  const inNetwork = [...state.machines.values()].filter(
    ({ own }) => networkOf(state, own.app) === network,
  )
  const [, most, nearest] = /^top(\d+)\.nearest\.of\.([^.]+)\.internal$/.exec(name) ?? []
  const wanted = nearest === undefined ? name : `${nearest}.internal`
  const found = inNetwork
    .filter((machine) => namesOf(machine).includes(wanted))
    .map(({ private_ip }) => private_ip)
  return found.length === 0 ? null : found.slice(0, Number(most ?? found.length))
}

/** The names of a machine in its network. */
export function namesOf({ id, region, state, config, own: { app } }: Machine): string[] {
  const own = `${id}.vm.${app}.internal`
  if (state === 'starting') return [own]
  if (state !== 'started') return []
  if (config.dns?.skip_registration) return [own]
  const metadata = Object.entries(config.metadata ?? {})
  const group = config.metadata?.['fly_process_group']
  return [
    own,
    `${app}.internal`,
    `${region}.${app}.internal`,
    ...(group ? [`${group}.process.${app}.internal`] : []),
    ...metadata.map(([key, value]) => `${value}.${key}.kv._metadata.${app}.internal`.toLowerCase()),
  ]
}
