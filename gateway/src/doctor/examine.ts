import { failed, ok, type Probe, runProbes, unknown, warning } from '#api/doctor/run-probes.ts'
import type { DoctorReport } from '#api/doctor/report.ts'
import { sealingLines } from '#api/sealing/sealing.ts'
import { isUnknown } from '#api/status/part.ts'
import type { GatewayStatus } from '#api/status/status.ts'
import { inMb } from '#api/text/in-mb.ts'
import { someOf } from '#api/text/some-of.ts'
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
  const status = await gatewayStatus(parts.status)
  const probes = [
    daemonProbe(parts),
    ...partProbes(status),
    ...versionProbes(status),
    ...sizeProbes(status),
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

const group = 'gateway'

function daemonProbe({ buildkit }: DoctorParts): Probe {
  return {
    group,
    name: 'build daemon',
    async run(signal) {
      if (!buildkit) return unknown('it was not asked: the gateway does not run')
      return ok(`buildkitd ${(await buildkit.info(signal)).version}`)
    },
  }
}

/** What the parts of the status say of themselves. */
function partProbes({ disk, cost, mirror, images, sealing }: GatewayStatus): Probe[] {
  return [
    {
      group,
      name: 'images of releases',
      run() {
        if (!images || isUnknown(images))
          return unknown(images?.unknown ?? 'the gateway does not run')
        const { missing, checkedAt, checked } = images
        if (checkedAt === null) return unknown('they were not checked yet')
        if (missing.length === 0) return ok(`${checked} are in the registry, at ${checkedAt}`)
        const names = someOf(
          missing.map(({ app, reference, why }) => `${reference} of ${app} (${why})`),
          3,
        )
        return warning(
          `missing in the registry: ${names}`,
          'A rollback to their releases would fail: deploy again.',
        )
      },
    },
    {
      group,
      name: 'push mirror',
      run() {
        if (!mirror || isUnknown(mirror))
          return unknown(mirror?.unknown ?? 'the gateway does not run')
        if (mirror.state !== 'down') return ok(mirror.detail)
        return warning(mirror.detail, 'Images go straight to the registry, which may take longer.')
      },
    },
    {
      group,
      name: 'disk',
      run() {
        if (!disk || isUnknown(disk)) return unknown(disk?.unknown ?? 'the gateway does not say')
        return disk.ok ? ok(disk.detail) : failed(disk.detail, 'Enlarge the volume.')
      },
    },
    sealingProbe(sealing),
    {
      group,
      name: 'prices',
      run() {
        if (!cost || isUnknown(cost)) return unknown(cost?.unknown ?? 'the gateway does not say')
        const { warning: why, prices } = cost
        if (why !== null) return warning('the cost of deployments is not known', why)
        return ok(`${prices?.source}, of ${prices?.date}`)
      },
    },
  ]
}

function sealingProbe(sealing: GatewayStatus['sealing']): Probe {
  return {
    group,
    name: 'sealed secrets',
    run() {
      if (!sealing || isUnknown(sealing))
        return unknown(sealing?.unknown ?? 'the gateway does not run')
      if (sealing.problem !== null)
        return failed(sealing.problem, 'Name the old key in TARMAC_SECRETS_OLD_KEYS again.')
      const detail = sealingLines(sealing).join('; ')
      if (!sealing.oldKeysMayGo) return ok(detail)
      return warning(detail, 'A key that nothing needs should not be kept in the settings.')
    },
  }
}

function versionProbes({ versions }: GatewayStatus): Probe[] {
  if (!versions || isUnknown(versions)) return []
  return versions.map(({ name, version, minimum, ok: isOk, note }) => ({
    group: 'versions',
    name,
    run() {
      const detail = [version ?? 'not known', ...(note ? [note] : [])].join('; ')
      if (isOk === null) return unknown(detail)
      if (isOk) return ok(detail)
      return warning(
        `${detail}; needed is ${minimum} or newer`,
        'Take a newer image: tarmac upgrade',
      )
    },
  }))
}

/** The limits that the gateway works with, and what each follows. */
function sizeProbes({ sizes }: GatewayStatus): Probe[] {
  if (!sizes || isUnknown(sizes)) return []
  return sizes.limits.map(({ name, value, unit, setting, from, rule }) => ({
    group: 'limits',
    name,
    run() {
      const shown = unit === 'bytes' ? inMb(value) : `${value} ${unit}`
      const origin = from === 'setting' ? `set by ${setting}` : `${rule ?? from}; ${setting}`
      return ok(`${shown} (${origin})`)
    },
  }))
}
