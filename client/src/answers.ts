import { z } from 'zod'
import { Crash, Deployment } from '#api/deployment.ts'
import { errorCode, errorMessage } from '#api/error-code.ts'
import type { StreamMessage } from '#api/event-stream.ts'
import { NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { ProblemBody } from '#api/problem/body.ts'
import { DeploymentCost } from '#api/status/cost.ts'
import { privateApp, tunnelTo } from './tunnel.ts'

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
  release: z.number().nullable().default(null),
  owner: z.string().nullable().default(null),
  crashes: z.array(Crash).optional(),
  cost: DeploymentCost.nullable().optional(),
  source: z.object({ digest: z.string() }).nullable().optional(),
  warnings: z.array(z.string()).optional(),
})
export type DeploymentRecord = z.infer<typeof DeploymentRecord>

/** The record in an answer. Throws `not-ready` for an answer that no gateway gives. */
export function readRecord(url: URL, answer: string): DeploymentRecord {
  const record = DeploymentRecord.safeParse(jsonOf(answer))
  if (record.success) return record.data
  throw strangeAnswer(url, 'no record of a deployment', answer)
}

/** The records in a page of a list. */
export function readRecords(url: URL, answer: string): DeploymentRecord[] {
  const page = z.object({ deployments: z.array(DeploymentRecord) }).safeParse(jsonOf(answer))
  if (page.success) return page.data.deployments
  throw strangeAnswer(url, 'no list of deployments', answer)
}

/** The problem in an answer with this HTTP status. */
export function readProblem(url: URL, status: number, answer: string): Problem {
  const body = ProblemBody.safeParse(jsonOf(answer))
  if (body.success) return Problem.from(body.data)
  // Node or a proxy may refuse a request before the gateway reads it.
  if (status === 431 || status === 414)
    return new Problem(
      'headers-too-large',
      `${url.origin} refuses the address and headers of the request as too large (${status}). Use shorter options; keep long variables in the app’s settings.`,
    )
  if (status === 413)
    return new Problem(
      'archive-too-large',
      `${url.origin} refuses an upload of this size (413). Leave out what the build does not need.`,
    )
  return strangeAnswer(url, `status ${status}`, answer)
}

/**
 * The same problem with its pause before another attempt, in seconds, where the answer says one: a
 * gateway in its facts, a proxy before it by a header.
 */
export function withPause(
  problem: Problem,
  { status, headers }: { status: number; headers: Record<string, unknown> },
): Problem {
  const isPassing = problem.code === 'not-ready' && (status === 429 || status >= 500)
  if (!isPassing || 'retryAfterSeconds' in problem.facts) return problem
  const said = Number(headers['retry-after'])
  const retryAfterSeconds = said > 0 ? said : proxyPauseSeconds
  return new Problem(problem.code, problem.message, {
    facts: { ...problem.facts, retryAfterSeconds },
  })
}

/** A proxy that does not reach its gateway mostly says nothing about when to try again. */
const proxyPauseSeconds = 2

/** The refusal of a token, or of a request without one, for a user of the client. */
export function tokenRefused(url: URL, hasToken: boolean): Problem {
  const detail = hasToken
    ? `The gateway at ${url.origin} does not accept this token. Set TARMAC_TOKEN (or --token) to a token that works there: one of its setting TARMAC_TOKENS, or one made by tarmac token create.`
    : `The gateway at ${url.origin} needs a token. Set TARMAC_TOKEN, or give --token TOKEN.`
  return new Problem('unauthorized', detail)
}

/** The problem of a connection that failed. */
export function unreachable(url: URL, error: unknown): Problem {
  const reason = reasonOf(error)
  const app = privateApp(url.hostname)
  const hint = app
    ? `Only Fly's private network knows this name. From elsewhere: ${tunnelTo(app)}`
    : 'Is its address right?'
  const detail = `The gateway at ${url.origin} cannot be reached: ${reason}. ${hint}`
  return new Problem('not-ready', detail, { cause: error })
}

/** What the system says of a connection that failed. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error
    ? cause.message || (errorCode(cause) ?? cause.name)
    : errorMessage(error)
}

const types = new Set<unknown>([
  ...NewEvent.options.map(({ shape }) => shape.type.value),
  'end',
  'stopping',
  'too-slow',
  'unauthorized',
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

/** The answer of a gateway. Throws a Problem if it is another program's, or a newer gateway's. */
export function readAnswer<T>(
  schema: { safeParse: (answer: unknown) => { data?: T | undefined } },
  answer: unknown,
): T {
  const { data } = schema.safeParse(answer)
  if (data !== undefined) return data
  throw new Problem(
    'internal',
    'The answer could not be read. Is it a gateway, and of the version of this client?',
  )
}

/** Yields whole lines that are not empty. Calls `onChunk` for each chunk. */
export async function* linesOf(
  chunks: AsyncIterable<string>,
  onChunk: () => void,
): AsyncGenerator<string, void> {
  let rest = ''
  for await (const chunk of chunks) {
    onChunk()
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    yield* lines.filter((line) => line !== '')
  }
}
