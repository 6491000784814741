import { Problem } from '#api/problem.ts'
import { packJson } from '../../deployments/packed-json.ts'
import { refuse } from '../../flytoml/schema.ts'
import type { DeployProgress } from '../progress.ts'
import type { DesiredApp } from './desired-app.ts'

/**
 * Limit in bytes for the machine configs of one app, and for a deploy's progress before it begins.
 * A long text that repeats counts once.
 */
const maxConfigBytes = 6 * 2 ** 20
const maxMachines = 1000

export function refuseLargeConfigs(desired: DesiredApp): void {
  const sizeBytes = sizeOf(desired)
  if (sizeBytes <= maxConfigBytes) return
  refuse(
    'is too large:',
    `the machine configs from it have ${sizeBytes} bytes together. The limit is ${maxConfigBytes}. Put large files into the image, and use fewer sections.`,
  )
}

/**
 * Refuses a deploy whose progress would be too large to save, before any machine is touched. The
 * configs that the machines have now count too, because a rollback needs them.
 */
export function refuseLargeRollout({ desired, steps }: DeployProgress): void {
  if (steps.length > maxMachines) {
    const detail = `The deployment has ${steps.length} machines. The limit is ${maxMachines}. Deploy to fewer machines, or owner by owner.`
    throw new Problem('record-too-large', detail, {
      facts: { machines: steps.length, limit: maxMachines },
    })
  }

  const sizeBytes = sizeOf({ desired, steps })
  if (sizeBytes <= maxConfigBytes) return

  const sizes = steps.map(({ machine, previous }) => ({
    machine,
    sizeBytes: previous ? sizeOf(previous.config) : 0,
  }))
  const [largest] = sizes.toSorted((a, b) => b.sizeBytes - a.sizeBytes)
  const most = largest?.machine
    ? ` The largest is the config of machine ${largest.machine}, with ${largest.sizeBytes} bytes.`
    : ''
  const detail = `The machine configs of this deployment, and those that the machines have now, take ${sizeBytes} bytes. The gateway keeps at most ${maxConfigBytes} for a rollback.${most} Make the configs smaller.`
  throw new Problem('record-too-large', detail, {
    facts: { sizeBytes, limitBytes: maxConfigBytes, ...largest },
  })
}

const sizeOf = (value: unknown): number => Buffer.byteLength(packJson(value))
