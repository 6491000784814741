import { readdir } from 'node:fs/promises'
import { z } from 'zod'
import { errorMessage } from '#api/error-code.ts'
import { parseJson } from '../host/parse-json.ts'
import { runInSandbox } from '../host/sandbox/sandbox.ts'
import { retry } from '#api/flow/retry.ts'
import { classifyFailure, PlannerFailure, type Seen } from './classify-failure.ts'
import { Info, type PrepareRequest, type PrepareResult } from './plan-request.ts'
import { planVariables } from './plan-variables.ts'

/**
 * Runs `railpack prepare` until it gives a plan or a final error. It retries errors that say
 * nothing about the source. After a failure the log has what the planner said besides.
 */
export const prepare = (request: PrepareRequest, signal: AbortSignal): Promise<PrepareResult> =>
  retry(
    () => tryPrepare(request, signal),
    {
      isRetryable: (error) => error instanceof PlannerFailure && error.isRetryable,
      pauseMs: (attempt) => request.limits.retryWaitsMs[attempt - 2] ?? null,
      onRetry: (error, pauseMs) =>
        request.emit({
          type: 'note',
          text: `${errorMessage(error)} Trying again in ${pauseMs / 1000} s.`,
        }),
    },
    signal,
  ).catch((error: unknown) => {
    if (error instanceof PlannerFailure) emitLogs(error.info, request.emit)
    throw error
  })

/** Each run has its own sandbox, so that it cannot return the result of another run. */
async function tryPrepare(request: PrepareRequest, signal: AbortSignal): Promise<PrepareResult> {
  const { app, root, options, planner, network, limits } = request
  const folder = `/source/${app}` // railpack names some programs after the folder
  const results = ['/tmp/out/plan.json', '/tmp/out/info.json']
  const outputs = ['--plan-out', results[0]!, '--info-out', results[1]!]
  const variables = planVariables(options.build, request.secretNames)
  const wanted = options.deploy ? ['--error-missing-start'] : []

  const ended = await runInSandbox(
    {
      command: planner.path,
      args: ['prepare', folder, '--hide-pretty-plan', ...wanted, ...outputs, ...variables.args],
      env: { PATH: searchPath, ...variables.env },
      readOnlyMounts: {
        ...network?.readOnlyMounts,
        [folder]: root,
        [planner.path]: planner.path,
        ...(await miseFiles()),
      },
      folders: ['/tmp/out', miseFolder],
      results,
      network: network?.namespace ?? null,
      limits,
    },
    signal,
  )

  const [planText = '', infoText = ''] = ended.results
  const info = readInfo(infoText)
  if (ended.exitCode === 0) return { info, planText }
  throw classifyFailure(ended, info, request, await seenBy(request))
}

/** In the order of the tree. Its root may hold 250,000 names. */
async function seenBy({ root, tree }: PrepareRequest): Promise<Seen> {
  const names = new Set(await readdir(root))
  const shown = tree.entries.filter(({ path }) => names.has(path))
  return { names: shown.map(({ path }) => path), isPart: root !== tree.root }
}

const maxNotes = 50
const maxNoteChars = 2_000

/** Writes what the planner said into the log. An error is in the problem. */
export function emitLogs({ logs }: Info, emit: PrepareRequest['emit']): void {
  for (const { Level, Msg } of logs.filter(({ Level }) => Level !== 'error').slice(0, maxNotes)) {
    const type = Level === 'warn' || Level === 'deprecation' ? 'warning' : 'note'
    emit({ type, text: `railpack ${Level}: ${Msg.slice(0, maxNoteChars)}` })
  }
}

export const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * railpack looks for mise only here. It also keeps mise's caches and locks here, and runs what it
 * finds.
 */
export const miseFolder = '/tmp/railpack/mise'

/** The mise programs there, without the caches: each run has its own caches. */
async function miseFiles(): Promise<Record<string, string>> {
  const names = await readdir(miseFolder).catch(() => [])
  const programs = names
    .filter((name) => /^mise-[\d.]+$/.test(name))
    .map((name) => `${miseFolder}/${name}`)
  return Object.fromEntries(programs.map((path) => [path, path]))
}

/**
 * The file is missing or incomplete if the planner was stopped. A part that railpack would not
 * write counts as empty.
 */
function readInfo(text: string): Info {
  try {
    return InfoFile.parse(parseJson(text))
  } catch {
    return InfoFile.parse({})
  }
}

const InfoFile = z.object({
  logs: Info.shape.logs.catch([]),
  detectedProviders: Info.shape.detectedProviders.catch([]),
  resolvedPackages: z
    .record(
      z.string(),
      z.object({ resolvedVersion: z.string().optional().catch(undefined) }).catch({}),
    )
    .catch({}),
})
