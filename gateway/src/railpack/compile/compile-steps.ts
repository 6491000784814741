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

type StepsInput = {
  plan: RailpackPlan
  cacheKey: string
  secretsHash: string
  hostname?: string
  platform: Platform
  source: Node
  /** Makes a Problem that says why the plan cannot be built. */
  refuse: (reason: string) => Error
}

/** A plan while it is compiled. */
type Compilation = StepsInput & {
  /** The result of each compiled step, and the environment that steps built on it get. */
  made: Map<string, Made>
  /**
   * Nodes that BuildKit would refuse, with the reason. They matter only if the image needs them.
   */
  invalidNodes: Map<Node, string>
  /** Likely mistakes in the plan that railpack ignores. */
  notes: string[]
}

type Made = { tree: Tree; env: BuildEnv }

/** Compiles all steps of a plan, each after its inputs. */
export function compileSteps(input: StepsInput): Compilation {
  const compilation: Compilation = { ...input, made: new Map(), invalidNodes: new Map(), notes: [] }
  for (const { step, parents } of inOrder(input.plan.steps, input.refuse)) {
    const inherited = mergeEnvs(parents.map((parent) => compilation.made.get(parent)!.env))
    let made: Made = {
      tree: assembleFor(compilation, nameOf(step), step.inputs),
      env: withVariables(inherited, step.variables),
    }
    for (const command of step.commands) made = apply(compilation, command, made, step)
    compilation.made.set(step.name, made)
  }
  return compilation
}

const nameOf = (step: Step): string => `The step ${step.name}`

/** Builds the file system of `deploy` or of a step from its layers. `who` names it in messages. */
export function assembleFor(compilation: Compilation, who: string, layers: Layer[]): Tree {
  const ground = layers[0]
  if (ground?.include?.length || ground?.exclude?.length)
    throw compilation.refuse(
      `${who} has include or exclude on its first layer, which is always used whole`,
    )
  return assemble(layers, (layer) => layerTree(compilation, who, layer))
}

function layerTree(compilation: Compilation, who: string, layer: Layer): Tree {
  if (layer.image) return imageTree(compilation, who, layer.image)
  if (layer.local) return compilation.source
  if (!layer.step) return scratch
  const step = compilation.made.get(layer.step)
  if (step) return step.tree
  compilation.notes.push(
    `${who} takes nothing from the step ${layer.step}, which the plan does not have.`,
  )
  return scratch
}

function imageTree({ platform, invalidNodes }: Compilation, who: string, name: string): Node {
  const full = imageName(name)
  const node = image(full ?? name, platform)
  if (full === null)
    invalidNodes.set(node, `${who} takes from an image whose name is not valid: ${name}`)
  return node
}

/** The file system and the environment after one command of a step. */
function apply(compilation: Compilation, command: Command, { tree, env }: Made, step: Step): Made {
  switch (command.form) {
    case 'exec':
      return { tree: run(compilation, command, { tree, env }, step), env }
    case 'path':
      return { tree, env: withPath(env, command.path) }
    case 'copy': {
      const from = command.image
        ? imageTree(compilation, nameOf(step), command.image)
        : compilation.source
      return { tree: copyCommand(tree, from, command), env }
    }
    case 'file': {
      const asset = ownValue(step.assets, command.name)
      if (asset === undefined)
        throw compilation.refuse(
          `${nameOf(step)} writes the asset ${command.name}, which it does not have`,
        )
      return { tree: fileCommand(tree, asset, command), env }
    }
  }
}

/** The names are the plan's own, and may be names such as `constructor`. */
const ownValue = <T>(table: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined

type CommandOf<Form> = Extract<Command, { form: Form }>

function run(
  compilation: Compilation,
  { cmd, customName }: CommandOf<'exec'>,
  made: Made,
  step: Step,
) {
  const { plan, platform, hostname = '', secretsHash } = compilation
  const args = shellWords(cmd).words
  const node = exec(
    made.tree,
    {
      args,
      env: envLines(made.env),
      cwd: appFolder,
      secrets: plan.secrets,
      mounts: [...secretsHashMounts(plan, step, secretsHash), ...cacheMounts(compilation, step)],
      platform,
      hostname,
    },
    customName,
  )
  if (args.length === 0)
    compilation.invalidNodes.set(
      node,
      `${nameOf(step)} has a command without words: ${JSON.stringify(cmd)}`,
    )
  return node
}

const cacheMounts = ({ plan, cacheKey, refuse }: Compilation, step: Step): Mount[] =>
  step.caches.map((name) => {
    const cache = ownValue(plan.caches, name)
    if (!cache) throw refuse(`${nameOf(step)} uses the cache ${name}, which the plan does not have`)
    const ID = cacheKey === '' ? name : `${cacheKey}-${name}`
    const sharing = cache.type === 'locked' ? cacheSharing.locked : cacheSharing.shared
    return { dest: cache.directory, cache: { ID, sharing } }
  })

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

function fileCommand(onto: Tree, asset: string, command: CommandOf<'file'>): Node {
  const { path, mode, customName } = command
  const parent = dir(path)
  const ready = parent === '/' ? onto : mkdir(onto, resolve(appFolder, parent), 0o755)
  return mkfile(
    ready,
    { path: resolve(appFolder, path), mode: (mode || 0o644) & 0o777, data: asset },
    customName,
  )
}

/**
 * Sorts the steps so that each comes after its inputs. Its parents are its inputs that no other
 * input builds on.
 */
function inOrder(
  listed: Step[],
  refuse: StepsInput['refuse'],
): { step: Step; parents: string[] }[] {
  const steps = new Map(listed.map((step) => [step.name, step]))
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
