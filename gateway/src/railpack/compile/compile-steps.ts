import { copy, exec, image, mkdir, mkfile, scratch } from '../../llb/graph.ts'
import type { Mount, Node, Tree } from '../../llb/graph.ts'
import { imageName } from '../../llb/image-name.ts'
import { cacheSharing } from '../../llb/ops.ts'
import type { Platform } from '../../llb/ops.ts'
import { envLines, mergeEnvs, withPath, withVariables } from './build-env.ts'
import type { BuildEnv } from './build-env.ts'
import { dir, resolve, resolveDestination } from '../../go/paths.ts'
import { appFolder, assemble } from './layers.ts'
import type { Command, Layer, RailpackPlan, Step } from '../plan-schema.ts'
import { secretsHashMounts } from './secrets-hash.ts'
import { shellWords } from '../../go/shell-words.ts'

export type StepsInput = {
  plan: RailpackPlan
  cacheKey: string
  secretsHash: string
  hostname?: string
  platform: Platform
  source: Node
  /** Makes a Problem that says why the plan cannot be built. */
  refuse: (reason: string) => Error
}

export type CompiledSteps = {
  /** Builds the file system of `deploy` or of a step from its layers. */
  assemble(who: string, layers: Layer[]): Tree
  /**
   * The environment that a step passes to the steps that build on it. Undefined if the plan has no
   * such step.
   */
  envOf(step: string): BuildEnv | undefined
  /**
   * Nodes that BuildKit would refuse, with the reason. They matter only if the image needs them.
   */
  invalidNodes: Map<Node, string>
  /** Likely mistakes in the plan that railpack ignores. */
  notes: string[]
}

type Made = { tree: Tree; env: BuildEnv }

/** Compiles all steps of a plan, each after its inputs. */
export function compileSteps(input: StepsInput): CompiledSteps {
  const { plan, platform, source, refuse } = input
  const steps = new Map(plan.steps.map((step) => [step.name, step]))
  const made = new Map<string, Made>()
  const invalidNodes = new Map<Node, string>()
  const notes: string[] = []

  const imageTree = (who: string, name: string): Node => {
    const full = imageName(name)
    const node = image(full ?? name, platform)
    if (full === null)
      invalidNodes.set(node, `${who} takes from an image whose name is not valid: ${name}`)
    return node
  }
  const treeOf = (who: string, layer: Layer): Tree => {
    if (layer.image) return imageTree(who, layer.image)
    if (layer.local) return source
    if (!layer.step) return scratch
    const step = made.get(layer.step)
    if (step) return step.tree
    notes.push(`${who} takes nothing from the step ${layer.step}, which the plan does not have.`)
    return scratch
  }
  const assembleFor = (who: string, layers: Layer[]): Tree => {
    const ground = layers[0]
    if (ground?.include?.length || ground?.exclude?.length)
      throw refuse(`${who} has include or exclude on its first layer, which always stands whole`)
    return assemble(layers, (layer) => treeOf(who, layer))
  }
  const compile = (step: Step, parents: string[]): Made => {
    const who = `The step ${step.name}`
    const inherited = mergeEnvs(parents.map((parent) => made.get(parent)!.env))
    let now: Made = {
      tree: assembleFor(who, step.inputs),
      env: withVariables(inherited, step.variables),
    }
    for (const command of step.commands) now = apply(command, now, step, who)
    return now
  }
  const apply = (command: Command, { tree, env }: Made, step: Step, who: string): Made => {
    switch (command.form) {
      case 'exec':
        return { tree: run(command.cmd, command.customName, { tree, env }, step, who), env }
      case 'path':
        return { tree, env: withPath(env, command.path) }
      case 'copy': {
        const from = command.image ? imageTree(who, command.image) : source
        return { tree: copyCommand(tree, from, command), env }
      }
      case 'file': {
        const asset = Object.hasOwn(step.assets, command.name)
          ? step.assets[command.name]
          : undefined
        if (asset === undefined)
          throw refuse(`${who} writes the asset ${command.name}, which it does not have`)
        return { tree: fileCommand(tree, asset, command), env }
      }
    }
  }
  const run = (
    cmd: string,
    name: string | undefined,
    { tree, env }: Made,
    step: Step,
    who: string,
  ): Node => {
    const mounts = [...secretsHashMounts(plan, step, input.secretsHash), ...cacheMounts(step, who)]
    const args = shellWords(cmd)
    const own = {
      cwd: appFolder,
      secrets: plan.secrets,
      mounts,
      platform,
      hostname: input.hostname ?? '',
    }
    const node = exec(tree, { args, env: envLines(env), ...own }, name)
    if (args.length === 0)
      invalidNodes.set(node, `${who} has a command without words: ${JSON.stringify(cmd)}`)
    return node
  }
  const cacheMounts = (step: Step, who: string): Mount[] =>
    step.caches.map((name) => {
      const cache = Object.hasOwn(plan.caches, name) ? plan.caches[name] : undefined
      if (!cache) throw refuse(`${who} uses the cache ${name}, which the plan does not have`)
      const ID = input.cacheKey === '' ? name : `${input.cacheKey}-${name}`
      const sharing = cache.type === 'locked' ? cacheSharing.locked : cacheSharing.shared
      return { dest: cache.directory, cache: { ID, sharing } }
    })

  for (const { step, parents } of inOrder(steps, refuse))
    made.set(step.name, compile(step, parents))
  return { assemble: assembleFor, envOf: (step) => made.get(step)?.env, invalidNodes, notes }
}

function copyCommand(onto: Tree, from: Tree, { src, dest }: { src: string; dest: string }): Node {
  const options = {
    src: resolve('/', src),
    dest: resolveDestination(appFolder, dest),
    followSymlink: true,
    createDestPath: true,
    allowWildcard: true,
    allowEmptyWildcard: true,
  }
  return copy(onto, from, options, src === dest ? `copy ${src}` : undefined)
}

function fileCommand(onto: Tree, asset: string, command: Extract<Command, { form: 'file' }>): Node {
  const { path, mode, customName } = command
  const parent = dir(path)
  const ready = parent === '/' ? onto : mkdir(onto, resolve(appFolder, parent), 0o755)
  return mkfile(ready, resolve(appFolder, path), (mode || 0o644) & 0o777, asset, customName)
}

/**
 * Sorts the steps so that each comes after its inputs. Its parents are its inputs that no other
 * input builds on.
 */
function inOrder(
  steps: Map<string, Step>,
  refuse: StepsInput['refuse'],
): { step: Step; parents: string[] }[] {
  const order: { step: Step; parents: string[] }[] = []
  const ancestors = new Map<string, Set<string>>()
  const open = new Set<string>()

  const visit = (step: Step) => {
    if (ancestors.has(step.name)) return
    if (open.has(step.name))
      throw refuse(`Steps take from each other in a circle: ${[...open, step.name].join(' → ')}`)
    open.add(step.name)
    const inputs = step.inputs.flatMap((input) =>
      input.step && steps.has(input.step) ? [input.step] : [],
    )
    for (const name of inputs) visit(steps.get(name)!)
    open.delete(step.name)
    const isBehind = (name: string) => inputs.some((other) => ancestors.get(other)!.has(name))
    ancestors.set(step.name, new Set(inputs.flatMap((name) => [name, ...ancestors.get(name)!])))
    order.push({ step, parents: inputs.filter((name) => !isBehind(name)) })
  }
  for (const step of steps.values()) visit(step)
  return order
}
