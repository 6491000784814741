import { crashPoint } from '#api/flow/crash-point.ts'
import { egressText } from '#api/previews/template.ts'
import { Problem } from '#api/problem.ts'
import { retryUntilKnown } from '#fly/fly-calls.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { NetworkPolicy, PolicyPort } from '#fly/network/network-policies.ts'
import type { DeployJob } from '../job.ts'
import { retryUntilVisible } from '../machines/retry.ts'

/** `egress`: as `443/tcp`. */
export type EgressJob = Pick<DeployJob, 'app' | 'emit' | 'signal'> & { egress: string[] }

const policyName = 'tarmac-egress'

/**
 * Closes an app to all ports but these, and asks Fly whether it is closed. Call it before the app has a
 * machine. It may be called again after a crash or a failure.
 */
export async function limitEgress(
  { app, egress, emit, signal }: EgressJob,
  fly: Pick<MachinesApi, 'policies'>,
): Promise<void> {
  const list = () => retryUntilKnown(() => fly.policies.list(app, signal), signal)
  const known = await list()
  if (!allowsOnly(known, egress)) {
    const id = known.find(({ name }) => name === policyName)?.id
    const policy = { id, name: policyName, ports: egress.map(portOf) }
    await retryUntilKnown(() => fly.policies.allowEgress(app, policy, signal), signal)
    crashPoint('egress-set')
    const isClosed = async () => (allowsOnly(await list(), egress) ? true : null)
    if (!(await retryUntilVisible(isClosed, signal))) throw open(app, egress)
  }
  emit({ type: 'note', text: `Its machines may reach ${egressText(egress)} (network policy).` })
}

/** Whether a policy closes all machines, and no policy allows more than these ports. */
function allowsOnly(policies: readonly NetworkPolicy[], egress: readonly string[]): boolean {
  const allowed = policies.flatMap(egressOf).flatMap(({ ports }) => (ports ?? []).map(textOf))
  return (
    policies.some((policy) => selectsAll(policy) && egressOf(policy).length > 0) &&
    allowed.every((port) => egress.includes(port)) &&
    egress.every((port) => allowed.includes(port))
  )
}

const egressOf = ({ rules }: NetworkPolicy) =>
  (rules ?? []).filter(({ direction }) => direction === 'egress')

/** Fly combines the given ways of selection: a policy with others may leave a machine out. */
const selectsAll = ({ selector: { all, machines, metadata } }: NetworkPolicy): boolean =>
  all === true && (machines ?? []).length === 0 && Object.keys(metadata ?? {}).length === 0

const textOf = ({ port, protocol }: PolicyPort): string => `${port}/${protocol}`

function portOf(text: string): PolicyPort {
  const [port, protocol = ''] = text.split('/')
  return { protocol, port: Number(port) }
}

const open = (app: string, egress: readonly string[]): Problem =>
  new Problem(
    'fly-refused',
    `Fly does not show the network policy of ${app} that it has accepted: it was to allow ${egressText([...egress])}. The preview has no machine. Make it again; if that fails too, a template without egress works without a policy.`,
    { facts: { egress } },
  )
