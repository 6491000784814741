import { isObject } from '#api/is-object.ts'
import { errorMessage } from '#api/error-code.ts'
import { isUnavailable, statusOf } from '#fly/fly-calls.ts'
import type { MachineRef } from '#fly/machine.ts'
import type { FlyParts } from '../fly-parts.ts'

/** `status` 0: no answer, and `body` says why. */
export type Answer = { status: number; body: string }
export type Question = { port: number; path: string; method?: 'GET' | 'POST' | 'DELETE' }

const seconds = 15

/**
 * The program that asks. It takes the token from the environment of its machine, so that none is in
 * the command.
 */
export const askScript = ({ port, path, method = 'GET' }: Question): string =>
  `const [t = ''] = (process.env.TARMAC_TOKENS ?? '').split(',')
fetch('http://127.0.0.1:${port}${path}', { method: '${method}', headers: { authorization: 'Bearer ' + t.trim() } })
  .then(async (a) => console.log(JSON.stringify({ status: a.status, body: (await a.text()).slice(0, 4000) })))
  .catch((e) => console.log(JSON.stringify({ status: 0, body: String(e.cause?.code ?? e.message) })))`

/**
 * Asks a gateway by a command inside its machine: most computers reach no private network of Fly.
 * Null: the image has no node, or Fly runs no commands there.
 */
export async function askInside(
  fly: FlyParts,
  ref: MachineRef,
  question: Question,
): Promise<Answer | null> {
  try {
    const command = ['node', '-e', askScript(question)]
    const { exit_code: code, stdout } = await fly.builder.exec(
      ref,
      { command, seconds },
      fly.signal,
    )
    return code ? null : readAnswer(stdout ?? '')
  } catch (error) {
    fly.signal.throwIfAborted()
    // 412: the machine does not run any more, or not yet.
    if (isUnavailable(error) || statusOf(error) === 412)
      return { status: 0, body: errorMessage(error) }
    return null
  }
}

function readAnswer(text: string): Answer | null {
  const read = parsed(text)
  if (!isObject(read)) return null
  const { status, body } = read
  return typeof status === 'number' && typeof body === 'string' ? { status, body } : null
}

/** Undefined: it is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
