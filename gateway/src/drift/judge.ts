import type { DriftFinding, NewFinding } from '#api/drift/finding.ts'
import { isUnknown } from '#api/status/part.ts'
import type { DriftRow, Expected } from '../deployments/drift/drift-store.ts'
import { addressFindings, expectedAddresses, networkOf } from './addresses.ts'
import { certificateFindings } from './certificates.ts'
import type { Gathered } from './gather.ts'
import { machineFindings } from './machines.ts'

/** What is expected of an app from now on, and how it differs. */
export type Judgement = { expected: Expected; findings: DriftFinding[] }

/**
 * Compares what Fly has of an app with what is expected of it. `row`: the last look; its findings stay
 * where this look could not see. `accepting`: from now on the addresses and hostnames of now are
 * expected.
 */
export function judge(
  { flyId, recordedApp, own, report }: Gathered,
  { row, accepting, nowMs }: { row: DriftRow | null; accepting: boolean; nowMs: number },
): Judgement {
  const { app, ips: addresses, made, certificates, deploying } = report
  const known = row && isSameApp(row.flyId, flyId) ? row : null
  const hostnames = isUnknown(certificates)
    ? null
    : certificates.map(({ hostname }) => hostname).toSorted()
  const before = accepting ? null : (known?.expected ?? null)
  const expected: Expected = {
    // Nothing was expected of an app that was never looked at.
    ...(before ?? expectedAddresses(addresses, { own, made: made && !accepting })),
    hostnames: before?.hostnames ?? hostnames ?? known?.expected?.hostnames ?? null,
  }
  const all: NewFinding[] = [
    ...(deploying ? [] : machineFindings({ app, recordedApp }, report)),
    ...addressFindings(app, { addresses, own, made, expected }),
    ...(isUnknown(certificates)
      ? []
      : certificateFindings(app, certificates, { hostnames: expected.hostnames, nowMs })),
  ]
  const earlier = known?.findings ?? []
  const findings = all.map((each) => ({
    ...each,
    since: earlier.find((other) => isSame(each, other))?.since ?? null,
  }))
  const unseen = earlier.filter(
    (each) => !findings.some((other) => isSame(each, other)) && isUnseen(each, report, accepting),
  )
  return { expected: withNetworks(expected, { own, report }), findings: [...findings, ...unseen] }
}

export const isSame = (
  a: Pick<DriftFinding, 'code' | 'subject'>,
  b: Pick<DriftFinding, 'code' | 'subject'>,
): boolean => a.code === b.code && a.subject === b.subject

/** An unknown id counts as the same. */
const isSameApp = (a: string | null, b: string | null): boolean =>
  a === null || b === null || a === b

/** Whether this look could not see that the finding has ended. */
function isUnseen(
  { code, subject }: DriftFinding,
  { certificates, deploying, ips }: Gathered['report'],
  accepting: boolean,
): boolean {
  if (code.startsWith('machine-')) return deploying
  if (code === 'flycast-network')
    return (
      !accepting && ips.some(({ ip, network }) => ip === subject && network && isUnknown(network))
    )
  if (!code.startsWith('certificate-')) return false
  if (isUnknown(certificates)) return true
  const read = certificates.find(({ hostname }) => hostname === subject)
  return read !== undefined && !read.isRead && !(accepting && code === 'certificate-new')
}

/** Notes the network of an expected address, once it is known to be the app's own. */
function withNetworks(
  expected: Expected,
  { own, report }: Pick<Gathered, 'own' | 'report'>,
): Expected {
  const flycast = expected.flycast.map((each) => {
    const address = report.ips.find(({ ip }) => ip === each.ip)
    const network = address && networkOf(address)
    const isOwn = network?.name === own.name && network?.organization === own.organization
    return each.network === null && network && isOwn ? { ...each, network } : each
  })
  return { ...expected, flycast }
}
