import { failed, ok, type Probe, runProbes, unknown, warning } from '#api/doctor/run-probes.ts'
import type { DoctorReport } from '#api/doctor/report.ts'
import { isUnknown } from '#api/status/part.ts'
import { gatewayStatus } from '../commands/status.ts'
import { gatewayVersion } from '../host/gateway-version.ts'
import type { DoctorChoice, DoctorParts } from './doctor-parts.ts'
import { machineProbes } from './machine-probes.ts'
import { networkProbes } from './network-probes.ts'
import { registryProbes } from './registry-probes.ts'
import { tokenProbes } from './token-probes.ts'

/**
 * Tries everything that only the machine and Fly can settle. Nothing is left behind, except an
 * image that the registry does not remove (`push`), and the finding says so.
 */
export async function examine(
  parts: DoctorParts,
  choice: DoctorChoice,
  signal: AbortSignal,
): Promise<DoctorReport> {
  const probes = [
    ...partProbes(parts),
    ...tokenProbes(parts),
    ...registryProbes(parts, choice),
    ...networkProbes(parts),
    ...machineProbes(parts),
  ]
  return {
    by: 'gateway',
    version: gatewayVersion(),
    at: new Date().toISOString(),
    findings: await runProbes(probes, signal),
  }
}

/** What the parts of the status say of themselves. */
function partProbes({ status, buildkit }: DoctorParts): Probe[] {
  const group = 'gateway'
  const read = gatewayStatus(status)
  return [
    {
      group,
      name: 'build daemon',
      async run(signal) {
        if (!buildkit) return unknown('it was not asked: the gateway does not run')
        return ok(`buildkitd ${(await buildkit.info(signal)).version}`)
      },
    },
    {
      group,
      name: 'disk',
      async run() {
        const { disk } = await read
        if (!disk || isUnknown(disk)) return unknown(disk?.unknown ?? 'the gateway does not say')
        return disk.ok ? ok(disk.detail) : failed(disk.detail, 'Enlarge the volume.')
      },
    },
    {
      group,
      name: 'prices',
      async run() {
        const { cost } = await read
        if (!cost || isUnknown(cost)) return unknown(cost?.unknown ?? 'the gateway does not say')
        const { warning: why, prices } = cost
        if (why !== null) return warning('the cost of deployments is not known', why)
        return ok(`${prices?.source}, of ${prices?.date}`)
      },
    },
  ]
}
