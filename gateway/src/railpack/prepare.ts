import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runChild } from '../host/run-child.ts'
import { explainRefusal } from './explain-refusal.ts'
import type { PlanRequest, planLimits } from './plan-source.ts'
import { planVariables } from './plan-variables.ts'
import { plannerUser } from './planner-user.ts'
import { readSmall } from './read-small.ts'

export type Preparation = Omit<PlanRequest, 'flyBuild' | 'limits'> & { limits: typeof planLimits }

/** What of railpack's info file we read. */
export type Info = {
  logs: { Level: string; Msg: string }[]
  detectedProviders?: string[]
  resolvedPackages?: Record<string, { resolvedVersion?: string }>
}

/** Runs `railpack prepare` until it says yes or no; an answer that says nothing about the source is asked for again. */
export async function prepare(work: Preparation, signal: AbortSignal): Promise<{ info: Info; planText: string }> {
  for (let tries = 0; ; tries++) {
    const tried = await tryPrepare(work, signal)
    if ('planText' in tried) return tried
    const waitMs = work.limits.retryWaitsMs[tries]
    if (!tried.mayPass || waitMs === undefined) throw tried.problem
    work.tell({ type: 'note', text: `${tried.problem.message} Trying again in ${waitMs / 1000} s.` })
    await sleep(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

/** In a folder of its own each time, so that no answer is ever taken for another's. */
async function tryPrepare(work: Preparation, signal: AbortSignal) {
  const { tree, options, planner, limits } = work
  const out = await mkdtemp(join(work.workDir, 'plan-'))
  try {
    const user = await plannerUser(tree.root, out)
    const variables = planVariables(options.build, work.secretNames)
    const wanted = options.deploy ? ['--error-missing-start'] : []
    const outputs = ['--plan-out', join(user.out, 'plan.json'), '--info-out', join(user.out, 'info.json')]
    const args = ['prepare', user.treeRoot, '--hide-pretty-plan', ...wanted, ...outputs, ...variables.args]
    const env = { PATH: searchPath, ...variables.env }
    const { timeoutMs, maxOutputBytes, maxPlanBytes } = limits
    const ended = await runChild({ ...user.run(planner.path, args), env, cwd: '/', timeoutMs, maxOutputBytes }, signal)
    const info = await readInfo(join(out, 'info.json'), maxPlanBytes)
    if (ended.exitCode !== 0) return explainRefusal(ended, info, work)
    return { info, planText: await readSmall(join(out, 'plan.json'), maxPlanBytes, 'The plan') }
  } finally {
    await rm(out, { recursive: true, force: true })
  }
}

const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** There is none, or half of one, when the planner was stopped. */
async function readInfo(path: string, maxBytes: number): Promise<Info> {
  try {
    return { logs: [], ...(JSON.parse(await readSmall(path, maxBytes, 'The info file')) as Partial<Info>) }
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (isMissing || error instanceof SyntaxError) return { logs: [] }
    throw error
  }
}
