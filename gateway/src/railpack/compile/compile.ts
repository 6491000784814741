import { marshal, operations } from '../../llb/graph.ts'
import type { Node } from '../../llb/graph.ts'
import { mergeEnvs } from './build-env.ts'
import { compileSteps } from './compile-steps.ts'
import { imageConfig } from './image-config.ts'
import type { ImageConfig } from './image-config.ts'
import { refusal } from '../plan-schema.ts'
import type { RailpackPlan } from '../plan-schema.ts'

export type CompileOptions = {
  /** Stands before the ids of cache mounts, so that they are the app's own. */
  cacheKey: string
  /** Changes when a secret's value does: steps that list secrets then run again. */
  secretsHash: string
  /** Commands get it as their machine's name: those of two names never share a result. */
  hostname?: string
  /** As in `linux/amd64`. */
  platform: string
  /** The source tree, made by `sourceTree`. */
  source: Node
  builtAt: Date
  /** Run every command again, whatever is cached. */
  ignoreCache?: boolean
}

export type CompiledPlan = {
  /** An encoded pb.Definition. */
  definition: Uint8Array
  image: ImageConfig
  /** The operations of the definition, in its order, without the pointer to the result. */
  nodes: Node[]
  /** Names of the secrets that the session must be able to give. */
  secrets: string[]
  /** What looks like a mistake, though railpack passes over it. */
  notes: string[]
}

/** A plan as BuildKit's build graph, operation for operation what railpack's own frontend makes of it. */
export function compilePlan(plan: RailpackPlan, options: CompileOptions): CompiledPlan {
  const { deploy, secrets } = plan
  const refuse = (reason: string) => refusal(deploy.variables['RAILPACK_VERSION'], reason)
  const [OS = '', Architecture = '', Variant = ''] = options.platform.split('/')
  const platform = { OS, Architecture, Variant }

  const steps = compileSteps({ ...options, plan, platform, refuse })
  const { base } = deploy
  if (base.step && !steps.envOf(base.step))
    throw refuse(`The image takes from the step ${base.step}, which the plan does not have`)
  const result = steps.assemble('The image', [base, ...deploy.inputs])
  if (!result) throw refuse('The image would be empty: deploy has no base and takes nothing')
  const nodes = operations(result)
  for (const node of nodes) {
    const flaw = steps.invalidNodes.get(node)
    if (flaw !== undefined) throw refuse(flaw)
  }
  // Of the base only the files count, not what its step left in the environment.
  const env = mergeEnvs(deploy.inputs.flatMap(({ step }) => (step && steps.envOf(step)) || []))
  return {
    definition: marshal(result, options),
    image: imageConfig(deploy, env, platform, options.builtAt),
    nodes,
    secrets,
    notes: steps.notes,
  }
}
