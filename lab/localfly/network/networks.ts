import { org_slug } from '../org-pages.ts'
import type { App, FlyState } from '../state.ts'

/**
 * A network (6PN) as a key. Names of networks are unique within an organisation, so those of another
 * organisation have its name before them (superfly/docs: networking/custom-private-networks).
 */
export const networkKey = (org: string | undefined, network: string | null | undefined): string =>
  org === undefined || org === org_slug ? network || 'default' : `${org}/${network || 'default'}`

/** The network of an app. The machines of a deleted app are in none while they end. */
export function networkOf({ apps }: Pick<FlyState, 'apps'>, app: string): string {
  const found: Partial<App> | undefined = apps.get(app)
  return found ? networkKey(found.org_slug, found.network) : noNetwork
}

/** No name of a network has a plus. */
const noNetwork = '+'

/** The network of the machine with an address. Everything else is in the default network. */
export function networkAt(state: FlyState, address: string): string {
  const asker = [...state.machines.values()].find(
    ({ private_ip, state: its }) => private_ip === address && its !== 'destroyed',
  )
  return asker ? networkOf(state, asker.own.app) : networkKey(undefined, null)
}

/** The networks that an app's Flycast addresses belong to. */
export const flycastNetworks = ({ apps }: FlyState, app: string): string[] =>
  (apps.get(app)?.ips ?? []).flatMap(({ network, org_slug: org }) =>
    network ? [networkKey(org, network)] : [],
  )

/** The addresses of the machines of each network. */
export function membersOf(state: FlyState): string[][] {
  const machines = [...state.machines.values()].filter(({ state: its }) => its !== 'destroyed')
  const networks = Map.groupBy(machines, ({ own }) => networkOf(state, own.app))
  networks.delete(noNetwork)
  return [...networks.values()].map((members) => members.map(({ private_ip }) => private_ip))
}
