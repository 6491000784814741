import { z } from 'zod'
import { Deployment } from '#api/deployment.ts'
import type { StreamMessage } from '#api/event-stream.ts'
import { NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { ProblemBody } from '#api/problem/body.ts'

/**
 * What the client reads of a deployment's record. A newer gateway may have more fields, and codes
 * of problems that this client does not know.
 */
const DeploymentRecord = Deployment.pick({
  id: true,
  app: true,
  state: true,
  createdAt: true,
  url: true,
}).extend({
  machines: z.array(z.object({ id: z.string(), warning: z.string().optional() })).optional(),
  image: z.object({ reference: z.string() }).nullable(),
  problem: z.looseObject({ code: z.string(), title: z.string(), detail: z.string() }).nullable(),
})
export type DeploymentRecord = z.infer<typeof DeploymentRecord>

/** The record in an answer. Throws `not-ready` for an answer that no gateway gives. */
export function readRecord(url: URL, answer: string): DeploymentRecord {
  const record = DeploymentRecord.safeParse(jsonOf(answer))
  if (record.success) return record.data
  throw strangeAnswer(url, 'no record of a deployment', answer)
}

/** The problem in an answer with this HTTP status. */
export function readProblem(url: URL, status: number, answer: string): Problem {
  const body = ProblemBody.safeParse(jsonOf(answer))
  return body.success ? Problem.from(body.data) : strangeAnswer(url, `status ${status}`, answer)
}

const types = new Set<unknown>([
  ...NewEvent.options.map(({ shape }) => shape.type.value),
  'end',
  'stopping',
  'too-slow',
])

/** Whether the client knows messages of this type. A newer gateway may send others too. */
export const isKnownMessage = (message: unknown): message is StreamMessage =>
  typeof message === 'object' && message !== null && 'type' in message && types.has(message.type)

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const strangeAnswer = (url: URL, what: string, answer: string) =>
  new Problem(
    'not-ready',
    `${url.origin} does not answer like a gateway (${what}): ${answer.slice(0, 200)}`,
  )
