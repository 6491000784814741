import { z } from 'zod'
import type { PlanFacts } from '#api/deployment.ts'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { parseJson } from '../host/parse-json.ts'
import { openSource } from '../host/read-source-file.ts'
import { sourceText } from '../host/source-text.ts'
import { readDockerfile } from '../buildkit/dockerfile.ts'
import type { Survey } from '../buildkit/context/make-view.ts'
import { openView, surveyTree, type View } from '../buildkit/context/tree-view.ts'
import { chooseBuilder } from './choose-builder.ts'
import { railpackRules } from './ignore-rules.ts'
import {
  planLimits,
  type PlanRequest,
  type PlannedSource,
  type PrepareResult,
} from './plan-request.ts'
import { emitLogs, prepare } from './prepare.ts'
import { unusedDockerfile } from './unused-dockerfile.ts'

/**
 * Chooses the builder of a source. For railpack, it also makes the plan, or takes it from the
 * cache.
 */
export async function planSource(
  request: PlanRequest,
  signal: AbortSignal,
): Promise<PlannedSource> {
  const { tree, options, planner, emit } = request
  const limits = { ...planLimits, ...request.limits }
  const chosen = chooseBuilder(tree, options, request.flyBuild)
  const none = unplanned(chosen)
  if (chosen.builder === 'none') return { builder: 'none', facts: none, image: chosen.image }

  const ignorefile = request.flyBuild?.ignorefile
  const rules =
    chosen.builder === 'railpack'
      ? railpackRules(tree, options.build)
      : { ignore: (await readDockerfile(tree, chosen.dockerfile, ignorefile)).ignore, always: [] }
  const survey = await surveyTree(tree, rules)
  for (const text of survey.warnings) emit({ type: 'warning', text })
  if (chosen.builder === 'dockerfile')
    return { builder: 'dockerfile', facts: none, dockerfile: chosen.dockerfile }

  const unused = unusedDockerfile(tree, survey.dockerfiles, chosen.reason)
  if (unused) emit(unused)
  if (chosen.plan !== null) {
    const { plan } = chosen
    const planText = sourceText(
      openSource(tree)(plan, limits.maxResultBytes)!,
      plan,
      'plan-invalid',
    )
    const { startCommand, version } = readDeploy(planText, `The file ${plan}`)
    return {
      builder: 'railpack',
      planText,
      facts: { ...none, planner: `railpack ${version}, run by the sender`, startCommand },
    }
  }

  const { info, planText } = await prepared({ ...request, limits, survey }, signal)
  emitLogs(info, emit)
  const { startCommand } = readDeploy(planText, 'The plan')
  const tools = Object.entries(info.resolvedPackages).slice(0, maxTools)
  const versions = Object.fromEntries(
    tools.map(([name, { resolvedVersion = '' }]) => [
      name.slice(0, maxFactChars),
      resolvedVersion.slice(0, maxFactChars),
    ]),
  )
  const provider = info.detectedProviders[0]?.slice(0, maxFactChars) || null
  return {
    builder: 'railpack',
    planText,
    facts: { ...none, planner: `railpack ${planner.version}`, provider, versions, startCommand },
  }
}

/** What the record says of a source for which no planner ran. */
const unplanned = ({ builder, reason }: Pick<PlanFacts, 'builder' | 'reason'>): PlanFacts => ({
  builder,
  reason,
  planner: 'none',
  provider: null,
  versions: {},
  startCommand: null,
})

/** Takes the plan from the cache, or else from the planner. */
async function prepared(
  request: PlanRequest & { limits: typeof planLimits; survey: Survey },
  signal: AbortSignal,
): Promise<PrepareResult> {
  const { cache, options, emit } = request
  const known = options.rebuild ? null : await cache?.find(request)
  if (known) {
    emit({
      type: 'note',
      text: 'The plan of an earlier run is used: same source, options and planner. The planner did not run.',
    })
    return known
  }
  request.planning?.()
  await using view = await viewFor(request)
  const made = await prepare({ ...request, root: view.root }, signal)
  readDeploy(made.planText, 'The plan')
  await cache?.keep(request, made)
  return made
}

/** The planner sees the tree as the build will see it. */
function viewFor({
  tree,
  survey,
  emit,
}: Pick<PlanRequest, 'tree' | 'emit'> & { survey: Survey }): Promise<View> {
  const { marked } = survey
  if (marked.length > 0) {
    const text = `${marked.slice(0, maxMarked).join(', ')}: begins with a byte order mark, which railpack cannot read. It plans without the mark. Save the file as UTF-8 without it.`
    emit({ type: 'warning', text })
  }
  return openView(tree, survey)
}

const maxMarked = 3
/**
 * Limits on the planner's facts in the record: the number of tools, and the characters of each name
 * and version.
 */
const maxTools = 100
const maxFactChars = 200
/** Linux passes no longer argument to a program. */
const maxCommandBytes = 128 * 1024

/** The part of a plan that goes into the record. The compiler checks the rest. */
const RecordedPlan = z.object({
  deploy: z.object({
    startCommand: z.string().nullish(),
    variables: z.object({ RAILPACK_VERSION: z.string() }).nullish().catch(null),
  }),
})

function readDeploy(
  planText: string,
  name: string,
): { startCommand: string | null; version: string } {
  const plan = RecordedPlan.safeParse(parsedPlan(planText, name))
  if (!plan.success)
    throw new Problem('plan-invalid', `${name} is not a plan of railpack: it has no "deploy".`)

  const { startCommand = null, variables } = plan.data.deploy
  const sizeBytes = Buffer.byteLength(startCommand ?? '')
  if (sizeBytes > maxCommandBytes) {
    const detail = `${name} has a start command of ${sizeBytes} bytes; the limit is ${maxCommandBytes} bytes. Put the command into a script of the source.`
    throw new Problem('plan-limit', detail, { facts: { sizeBytes, limitBytes: maxCommandBytes } })
  }

  const version = variables?.RAILPACK_VERSION.slice(0, maxFactChars) ?? 'of unknown version'
  return { startCommand, version }
}

function parsedPlan(planText: string, name: string): unknown {
  try {
    return parseJson(planText)
  } catch (error) {
    throw new Problem('plan-invalid', `${name} is not JSON: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}
