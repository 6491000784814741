import { createHmac } from 'node:crypto'
import { byteOrder } from '../go/byte-order.ts'
import { secretsHash } from '../secrets/vault.ts'
import type { BuildRequest } from './build-request.ts'
import { platformsOf } from './platforms.ts'

/** What an image is made from, besides its source and its plan. */
export type ImageInputs = {
  /** The same for an equal image of the app. Reveals nothing about the secrets. */
  key: string
  platforms: string[]
  /** The stage of the Dockerfile to build. Null: the last one. */
  target: string | null
  buildArgs: Record<string, string>
  /** The values that build steps may read: secrets and build variables. */
  values: ReadonlyMap<string, string | Buffer>
  valuesHash: string
  /** Differs between apps, so that no app gets a cached result of another one. */
  cacheKey: string
}

/**
 * The inputs of an image. The keys derive from `gatewayKey`, each app's from its name and from how
 * often its build cache was removed.
 */
export function imageInputs(
  {
    deployment: { app, options },
    tree,
    secrets,
    plan,
    flyBuild,
  }: Pick<BuildRequest, 'deployment' | 'tree' | 'secrets' | 'plan' | 'flyBuild'>,
  gatewayKey: Uint8Array,
  generation = 0,
): ImageInputs {
  const name = generation === 0 ? app : `${app} ${generation}`
  const appKey = createHmac('sha256', gatewayKey).update(name).digest()
  const platforms = platformsOf(options)
  const buildArgs = { ...flyBuild.args, ...options.build }
  const target = options.target ?? flyBuild.target ?? null
  const values = new Map<string, string | Buffer>([...Object.entries(options.build), ...secrets])
  const valuesHash = secretsHash(values, appKey)

  const shape =
    plan.builder === 'railpack'
      ? [plan.planText, plan.facts.planner]
      : [plan.dockerfile, target, sorted(buildArgs)]
  const { ignorefile, compression, compressionLevel } = flyBuild
  const parts = [tree.digest, plan.builder, ...shape, valuesHash, platforms, options.commit]
  // Only if set: the keys of other images stay as they were.
  const others = [ignorefile, compression, compressionLevel]
  const made = others.some((each) => each !== undefined) ? [...parts, ...others] : parts
  return {
    key: createHmac('sha256', appKey).update(JSON.stringify(made)).digest('hex'),
    platforms,
    target,
    buildArgs,
    values,
    valuesHash,
    cacheKey: appKey.toString('hex').slice(0, 16),
  }
}

const sorted = (values: Record<string, string>) =>
  Object.entries(values).toSorted(([a], [b]) => byteOrder(a, b))
