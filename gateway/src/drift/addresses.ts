import type { NewFinding } from '#api/drift/finding.ts'
import type { Address } from '#api/drift/report.ts'
import { isUnknown } from '#api/status/part.ts'
import type { Expected } from '../deployments/drift/drift-store.ts'

/** The private network of an app. `name` null: Fly does not say it. */
export type OwnNetwork = { name: string | null; organization: string | null }
type Network = { name: string; organization: string | null }
type Judged = {
  addresses: Address[]
  own: OwnNetwork
  /** Whether this gateway created the app. */
  made: boolean
  expected: Expected
}

/**
 * What is expected of the addresses of an app that was never looked at. An app that this gateway made
 * has no public address, and one Flycast address on its own network. Any other app keeps what it has.
 */
export function expectedAddresses(
  addresses: Address[],
  { own, made }: { own: OwnNetwork; made: boolean },
): Pick<Expected, 'flycast' | 'publicIps'> {
  const flycast = addresses.filter((each) => !each.public)
  const wanted = made ? flycast.slice(0, 1) : flycast
  return {
    flycast: wanted.map((address) => ({
      ip: address.ip,
      network: made && isElsewhere(address, own) ? null : networkOf(address),
    })),
    publicIps: made ? [] : addresses.filter((each) => each.public).map(({ ip }) => ip),
  }
}

/** How the addresses of an app differ from what is expected. */
export function addressFindings(app: string, judged: Judged): NewFinding[] {
  const { addresses, expected } = judged
  const open = addresses.filter((each) => each.public && !expected.publicIps.includes(each.ip))
  return [
    ...open.map(({ ip }) => publicFinding(app, ip, expected.publicIps)),
    ...countFindings(app, judged),
    ...networkFindings(app, judged),
  ]
}

const publicFinding = (app: string, ip: string, known: string[]): NewFinding => ({
  code: 'public-address',
  subject: ip,
  text: `The app can be reached from everywhere at ${ip}.`,
  expected: known.length > 0 ? `no public address but ${known.join(', ')}` : 'no public address',
  found: `the public address ${ip}`,
  advice: `If nobody needs it: fly ips release ${ip} -a ${app}. ${orAccept(app)}`,
})

/** Addresses that are missing, too many, or others than expected. */
function countFindings(
  app: string,
  { addresses, own, made, expected }: Pick<Judged, 'addresses' | 'own' | 'made' | 'expected'>,
): NewFinding[] {
  const now = addresses.filter((each) => !each.public).map(({ ip }) => ip)
  const wanted = expected.flycast.map(({ ip }) => ip)
  const gone = wanted.filter((ip) => !now.includes(ip))
  const fresh = now.filter((ip) => !wanted.includes(ip))
  const wantedText = wanted.length > 0 ? `Flycast at ${wanted.join(', ')}` : 'one Flycast address'
  const foundText = now.length > 0 ? `Flycast at ${now.join(', ')}` : 'no Flycast address'
  const more = { expected: wantedText, found: foundText }

  if (now.length === 0)
    return made || wanted.length > 0
      ? [
          {
            ...more,
            code: 'flycast-missing',
            subject: 'flycast',
            text: `The app has no Flycast address: other apps of its network cannot reach it at ${app}.flycast.`,
            advice: `Give it one: ${allocate(app, own)}. ${orAccept(app)}`,
          },
        ]
      : []
  if (gone.length > 0)
    return [
      {
        ...more,
        code: 'flycast-changed',
        subject: 'flycast',
        text: `The Flycast address of the app has changed: ${gone.join(', ')} is gone. Programs that use the address itself, and not ${app}.flycast, do not reach the app.`,
        advice: `Let such programs use ${app}.flycast. ${orAccept(app)}`,
      },
    ]
  if (fresh.length === 0) return []
  return [
    {
      ...more,
      code: 'flycast-several',
      subject: 'flycast',
      text: `The app has ${now.length} Flycast addresses.`,
      advice: `Release what nobody needs: fly ips release ${fresh.join(' ')} -a ${app}. ${orAccept(app)}`,
    },
  ]
}

/** Fly: from its own network the app cannot be reached by such an address (superfly/docs: networking/flycast). */
function networkFindings(
  app: string,
  { addresses, own, expected }: Pick<Judged, 'addresses' | 'own' | 'expected'>,
): NewFinding[] {
  const isAccepted = (address: Address) => {
    const known = expected.flycast.find(({ ip }) => ip === address.ip)?.network
    const now = networkOf(address)
    return known?.name === now?.name && known?.organization === now?.organization
  }
  return addresses
    .filter((address) => isElsewhere(address, own) && !isAccepted(address))
    .map((address) => {
      const there = networkText(networkOf(address)!, own)
      return {
        code: 'flycast-network',
        subject: address.ip,
        text: `The Flycast address ${address.ip} is on the network ${there}, and the app is on ${own.name}. Machines on ${own.name} cannot reach the app by it.`,
        expected: `an address on the network ${own.name}`,
        found: `${address.ip} on the network ${there}`,
        advice: `To replace it: fly ips release ${address.ip} -a ${app}, then ${allocate(app, own)}. ${orAccept(app)}`,
      }
    })
}

/** The network of a Flycast address. Null: it is not known, or the address is public. */
export function networkOf({ network }: Pick<Address, 'network'>): Network | null {
  return network === null || isUnknown(network) ? null : network
}

/** Whether the address is known to be on another network than the app. */
function isElsewhere(address: Address, own: OwnNetwork): boolean {
  const network = networkOf(address)
  if (!network || own.name === null) return false
  const isForeign =
    network.organization !== null &&
    own.organization !== null &&
    network.organization !== own.organization
  return isForeign || network.name !== own.name
}

export const networkText = ({ name, organization }: Network, own: OwnNetwork): string =>
  organization === null || organization === own.organization
    ? name
    : `${name} of the organisation ${organization}`

const allocate = (app: string, { name }: OwnNetwork): string =>
  `fly ips allocate-v6 --private${name === null || name === 'default' ? '' : ` --network ${name}`} -a ${app}`

export const orAccept = (app: string): string => `If it is meant so: tarmac drift ${app} --accept.`
