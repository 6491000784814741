import { Problem } from '#api/problem.ts'
import { readFlyToml } from '../gateway/src/flytoml/read-fly-toml.ts'
import type { MachineConfig } from '#fly/machine.ts'
import { difference } from './difference.ts'

/** One recorded case: a fly.toml, and flyctl's result for it. */
export type FlyTomlCase = {
  toml: string
  ok: boolean
  error?: string
  groups: Record<string, MachineConfig>
  extra: { release_machine?: MachineConfig }
}

/** The first difference between our result for a fly.toml and the recorded one, or null. */
export function flyTomlDifference({ toml, ok, error, groups, extra }: FlyTomlCase): string | null {
  const ours = translate(toml)
  if (ours instanceof Problem) return ok ? `refused: ${ours.message}` : null
  if (!ok) return `taken, where flyctl says: ${error}`
  const recorded = { groups, release: extra.release_machine ?? null }
  for (const config of [...Object.values(groups), recorded.release])
    delete config?.metadata?.['fly_flyctl_version'] // flyctl's own mark
  return difference(recorded, ours, 'recorded')
}

function translate(toml: string): object {
  const silent = () => {}
  try {
    const file = readFlyToml(toml, () => null, silent)
    const groups = Object.fromEntries(file.groups)
    return JSON.parse(
      JSON.stringify({ groups, release: file.releaseCommand?.config ?? null }),
    ) as object
  } catch (error) {
    if (error instanceof Problem && error.code === 'fly-config-invalid') return error
    throw error
  }
}
