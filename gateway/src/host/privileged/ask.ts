import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { Problem } from '#api/problem.ts'
import { ProblemBody } from '#api/problem/body.ts'
import type { Call } from './calls.ts'

let socketPath: string | undefined

/** From now on this process asks the privileged process at this socket. Empty: there is none. */
export function usePrivileged(path: string): void {
  socketPath = path || undefined
}

/**
 * Whether a privileged process does what needs root. Without one, this process does it itself, as
 * root or as far as it may.
 */
export const hasPrivileged = (): boolean => socketPath !== undefined

/** Throws the Problem or the error of the other side. An abort stops the work there. */
export async function askPrivileged<Argument, Answer>(
  { name, answer }: Call<Argument, Answer>,
  argument: Argument,
  signal?: AbortSignal,
): Promise<Answer> {
  signal?.throwIfAborted()
  const to = { ...(socketPath && { socketPath }), path: `/${name}`, method: 'POST' }
  const call = request({ ...to, ...(signal && { signal }) })
  call.on('error', () => {}) // a second one after the first has no listener else, and would end us
  try {
    call.end(JSON.stringify(argument))
    const [response]: IncomingMessage[] = await once(call, 'response')
    const body: unknown = JSON.parse(await text(response!))
    if (response!.statusCode === 200) return answer.parse(body)
    throw refusalOf(body)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

function refusalOf(body: unknown): Error {
  const problem = ProblemBody.safeParse(body)
  if (problem.success) return Problem.from(problem.data)
  return new Error(`The privileged process failed: ${JSON.stringify(body)}`)
}
