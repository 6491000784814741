import { marshal, operations } from '../../llb/graph.ts'
import type { Node } from '../../llb/graph.ts'
import { mergeEnvs } from './build-env.ts'
import { assembleFor, compileSteps } from './compile-steps.ts'
import { imageConfig } from './image-config.ts'
import type { ImageConfig } from './image-config.ts'
import { refusal } from '../plan-schema.ts'
import type { RailpackPlan } from '../plan-schema.ts'

export type CompileOptions = {
  /** Prefix for the ids of cache mounts, so that each app has its own. */
  cacheKey: string
  /** Changes with the value of any secret. Steps that list secrets then run again. */
  secretsHash: string
  /**
   * The host name of the commands. Commands with different host names never share a cached result.
   */
  hostname?: string
  /** As in `linux/amd64`. */
  platform: string
  /** The source tree, from `sourceTree`. */
  source: Node
  builtAt: Date
  /** Run every command again, whatever is cached. */
  ignoreCache?: boolean
}

export type CompiledPlan = {
  /** An encoded pb.Definition. */
  definition: Uint8Array
  image: ImageConfig
  /** The operations of the definition, in the same order, without the pointer to the result. */
  nodes: Node[]
  /** Names of the secrets that the session must provide. */
  secrets: string[]
  /** Likely mistakes in the plan that railpack ignores. */
  notes: string[]
}

/**
 * Compiles a plan to BuildKit's build graph. The operations are those of railpack's own frontend,
 * one for one.
 */
export function compilePlan(plan: RailpackPlan, options: CompileOptions): CompiledPlan {
  const { deploy, secrets } = plan
  const refuse = (reason: string) => refusal(deploy.variables['RAILPACK_VERSION'], reason)
  const [OS = '', Architecture = '', Variant = ''] = options.platform.split('/')
  const platform = { OS, Architecture, Variant }

  const steps = compileSteps({ ...options, plan, platform, refuse })
  const { base } = deploy
  if (base.step && !steps.made.has(base.step))
    throw refuse(`The image takes from the step ${base.step}, which the plan does not have`)
  const result = assembleFor(steps, 'The image', [base, ...deploy.inputs])
  if (!result) throw refuse('The image would be empty: deploy has no base and takes nothing')
  const nodes = operations(result)
  for (const node of nodes) {
    const flaw = steps.invalidNodes.get(node)
    if (flaw !== undefined) throw refuse(flaw)
  }
  // Only the files of the base count, not the environment of its step.
  const env = mergeEnvs(
    deploy.inputs.flatMap(({ step }) => (step && steps.made.get(step)?.env) || []),
  )
  return {
    definition: marshal(result, options),
    image: imageConfig(deploy, env, platform, options.builtAt),
    nodes,
    secrets,
    notes: steps.notes,
  }
}
