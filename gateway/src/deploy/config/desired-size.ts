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
    `the machine configs that it makes have ${sizeBytes} bytes in all; at most ${maxConfigBytes} are taken. Put large files into the image, and use fewer sections.`,
  )
}

/**
 * Refuses a deploy whose progress would be too large to save, before any machine is touched. The
 * configs that the machines have now count too, because a rollback needs them.
 */
export function refuseLargeRollout({ desired, steps }: DeployProgress): void {
  if (steps.length > maxMachines) {
    const detail = `The deployment is for ${steps.length} machines; the gateway deploys to at most ${maxMachines} at once. Deploy to fewer machines, or owner by owner.`
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
    ? ` The largest is that of machine ${largest.machine}, with ${largest.sizeBytes} bytes.`
    : ''
  const detail = `The machine configs of this deployment, and those that the machines have now, take ${sizeBytes} bytes; the gateway remembers at most ${maxConfigBytes} for the way back.${most} Make the configs smaller.`
  throw new Problem('record-too-large', detail, {
    facts: { sizeBytes, limitBytes: maxConfigBytes, ...largest },
  })
}

const sizeOf = (value: unknown): number => Buffer.byteLength(packJson(value))
