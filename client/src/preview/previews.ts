import type { Preview } from '#api/previews/preview.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { exitCodeOf } from '#api/problem/exit-codes.ts'
import { followToEnd } from '../follow-deployment.ts'
import { runInPreview, showLogs } from './look-inside.ts'
import { makePreview } from './make-preview.ts'
import { askPreview, type Calling, listPreviews, readStats } from './preview-calls.ts'
import type { PreviewRequest } from './read-preview.ts'
import { factLines, isOver, previewLines, statsLines, untilText } from './render-previews.ts'
import { watchPreviews } from './watch.ts'

const lookMs = 500

/** Runs `tarmac preview …`. Returns the exit code. */
export async function previews(
  { request }: { request: PreviewRequest },
  calling: Calling,
): Promise<number> {
  const { printer } = calling
  switch (request.verb) {
    case 'create':
      return makePreview(request, calling)
    case 'ls': {
      const page = await listPreviews(calling, request.query)
      return printer.result(page, previewLines(page, Date.now()))
    }
    case 'stats': {
      const stats = await readStats(calling, request.query)
      return printer.result({ stats }, statsLines(stats))
    }
    case 'watch':
      return watchPreviews(request.app, calling)
    case 'show':
      return show(request, calling)
    case 'extend': {
      const body = { ttlSeconds: request.ttlSeconds }
      const preview = await askPreview(calling, ['POST', 'extendPreview', request.id], body)
      return printer.result({ preview }, [untilText(preview, Date.now())])
    }
    case 'destroy':
      return forEach(request.ids, calling, {
        begin: (id) => askPreview(calling, ['DELETE', 'preview', id]),
        end: (preview) => (request.detach ? Promise.resolve(preview) : untilGone(preview, calling)),
      })
    case 'logs':
      return showLogs(request, calling)
    case 'exec':
      return runInPreview(request, calling)
    case 'stop':
    case 'start':
    case 'suspend': {
      const { verb } = request
      return forEach(request.ids, calling, {
        begin: (id) => askPreview(calling, ['POST', 'previewAction', id, verb]),
        end: async (preview) => preview,
      })
    }
  }
}

async function show({ id, log }: { id: string; log: boolean }, calling: Calling): Promise<number> {
  const { gateway, printer, signal } = calling
  const preview = await askPreview(calling, ['GET', 'preview', id])
  const deployment = await gateway.find(preview.deployment, signal)
  if (log) return followToEnd(deployment, gateway, printer, { signal })
  return printer.result({ preview }, factLines(preview, deployment, Date.now()))
}

type Steps = {
  begin: (id: string) => Promise<Preview>
  end: (preview: Preview) => Promise<Preview>
}

/** Begins all, then waits for each. One that fails does not stop the others. */
async function forEach(
  ids: string[],
  { printer, signal }: Calling,
  { begin, end }: Steps,
): Promise<number> {
  const failures: { id: string; problem: Problem }[] = []
  const orNull = async (id: string, step: () => Promise<Preview>): Promise<Preview | null> => {
    try {
      return await step()
    } catch (error) {
      if (signal.aborted || !(error instanceof Problem)) throw error
      failures.push({ id, problem: error })
      printer.progress({ preview: id, problem: error.body() }, `${id}: ${error.message}`)
      return null
    }
  }

  const begun: Preview[] = []
  for (const id of new Set(ids)) {
    const preview = await orNull(id, () => begin(id))
    if (preview) begun.push(preview)
  }
  const done: Preview[] = []
  for (const preview of begun) {
    const ended = await orNull(preview.id, () => end(preview))
    if (ended) done.push(ended)
  }
  const [first] = failures
  const code = first ? exitCodeOf[first.problem.code] : 0
  return printer.result({ previews: done }, done.map(stateText), code)
}

function stateText({ id, state, url, ending }: Preview): string {
  const next: Partial<Record<Preview['state'], string>> = {
    ready: url ? `: ${url}` : '',
    stopped: `; no request reaches it until: tarmac preview start ${id}`,
    suspended: `; no request reaches it until: tarmac preview start ${id}`,
    destroying: `; tarmac preview show ${id} says when it is gone`,
    destroyed: `: nothing is left of it${ending && ending.why !== 'asked' ? ` (${ending.why})` : ''}`,
    failed: ': nothing is left of it',
  }
  return `${id} is ${state}${next[state] ?? ''}`
}

/** Waits until Fly has nothing of it any more. Says why, while Fly refuses. */
async function untilGone(begun: Preview, calling: Calling): Promise<Preview> {
  const { printer, signal } = calling
  const { id } = begun
  let preview = begun
  let said = preview.problem?.detail ?? ''
  while (!isOver(preview)) {
    const wait = sleep(lookMs, undefined, { signal }).catch(() => {})
    await wait
    if (signal.aborted) throw new Problem('cancelled', `The gateway goes on to destroy ${id}.`)
    preview = await askPreview(calling, ['GET', 'preview', id])
    const { problem } = preview
    if (problem && problem.detail !== said && preview.ending?.why !== 'failed') {
      said = problem.detail
      const text = `${id} is not gone yet, and the gateway tries again: ${said}`
      printer.progress({ preview: id, problem }, text)
    }
  }
  return preview
}
