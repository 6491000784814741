import { byteOrder } from '../../go/byte-order.ts'
import { sortedLines, systemPath } from './build-env.ts'
import type { BuildEnv } from './build-env.ts'
import { appFolder } from './layers.ts'
import type { RailpackPlan } from '../plan-schema.ts'

/** An OCI image config without `rootfs`, which the exporter adds. */
export type ImageConfig = {
  architecture: string
  os: string
  variant?: string
  config: { Env: string[]; Entrypoint: string[]; Cmd: string[]; WorkingDir: string }
}

export function imageConfig(
  deploy: RailpackPlan['deploy'],
  env: BuildEnv,
  platform: { OS: string; Architecture: string; Variant: string },
  builtAt: Date,
): ImageConfig {
  // Sorted as railpack does it, although the order of a PATH matters. The system's folders are one
  // entry.
  const path = [...deploy.paths, ...env.path, systemPath].toSorted(byteOrder).join(':')
  const variables = new Map([
    ...env.variables,
    ...Object.entries(deploy.variables),
    ['PATH', path] as const,
    ['RAILPACK_BUILT_AT', String(Math.floor(builtAt.getTime() / 1000))] as const,
  ])
  return {
    architecture: platform.Architecture,
    os: platform.OS,
    ...(platform.Variant && { variant: platform.Variant }),
    config: {
      Env: sortedLines(variables),
      Entrypoint: ['/bin/bash', '-c'],
      Cmd: [deploy.startCommand || '/bin/bash'],
      WorkingDir: appFolder,
    },
  }
}
