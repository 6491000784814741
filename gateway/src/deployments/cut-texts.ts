import type { CancelRequest } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import { cutText, sizeLimits } from './size-limits.ts'

/** An event as a store keeps it: long texts are cut. */
export function cutEvent(event: NewEvent): NewEvent {
  if (event.type === 'log') {
    const { step, text } = event
    return {
      ...event,
      step: step && cutText(step, sizeLimits.textChars),
      text: cutText(text, sizeLimits.logChars),
    }
  }
  const cut = cutTexts(event) as NewEvent
  return cut.type === 'state' && cut.problem ? { ...cut, problem: cutProblem(cut.problem) } : cut
}

/**
 * A problem as a store keeps it. Facts that are too large are left out, so that every deployment
 * can end.
 */
export function cutProblem(problem: ProblemBody): ProblemBody {
  const { type, code, title, status, detail, fault, retry, ...facts } = problem
  const kept: Record<string, unknown> = {}
  let leftBytes: number = sizeLimits.factsBytes
  for (const [name, value] of Object.entries(facts)) {
    const sizeBytes = Buffer.byteLength(JSON.stringify([name, value]))
    if (sizeBytes > leftBytes) continue
    leftBytes -= sizeBytes
    kept[name] = value
  }

  return {
    ...kept,
    type,
    code,
    title,
    status,
    detail: cutText(detail, sizeLimits.textChars),
    fault,
    retry,
  }
}

export function cutCancel<T extends Pick<CancelRequest, 'by' | 'why'>>(cancel: T): T {
  const [by, why] = [cancel.by, cancel.why].map(
    (text) => text && cutText(text, sizeLimits.cancelChars),
  )
  return { ...cancel, by: by ?? null, why: why ?? null }
}

function cutTexts(value: unknown): unknown {
  if (typeof value === 'string') return cutText(value, sizeLimits.textChars)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(cutTexts)
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, cutTexts(part)]))
}
