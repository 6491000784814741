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
  const cut = structuredClone(event)
  cutTexts(cut)
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

/** Cuts every text inside an object. */
function cutTexts(holder: object): void {
  for (const [key, value] of Object.entries(holder) as [string, unknown][])
    if (typeof value === 'string') Reflect.set(holder, key, cutText(value, sizeLimits.textChars))
    else if (typeof value === 'object' && value !== null) cutTexts(value)
}
