import { once } from 'node:events'
import { chownSync, chmodSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { errorMessage } from '#api/error-code.ts'
import { readBody } from '#api/flow/read-body.ts'
import { Problem } from '#api/problem.ts'
import type { Call } from '../host/privileged/calls.ts'

type Handler = (json: unknown, signal: AbortSignal) => Promise<unknown>
export type Answering = <Argument, Answer>(
  call: Call<Argument, Answer>,
  handler: (argument: Argument, signal: AbortSignal) => Promise<Answer>,
) => void

/** Answers calls on a socket that only root and the gateway's user can open. */
export async function serveCalls(socket: string, gid: number) {
  const handlers = new Map<string, Handler>()
  const server = createServer((req, res) => void answer(req, res, handlers))
  server.requestTimeout = 0
  mkdirSync(dirname(socket), { recursive: true })
  rmSync(socket, { force: true })
  server.listen(socket)
  await once(server, 'listening')
  chownSync(socket, 0, gid)
  chmodSync(socket, 0o660)

  const on: Answering = (call, handler) => {
    handlers.set(`/${call.name}`, (json, signal) => handler(call.argument.parse(json), signal))
  }
  return {
    on,
    [Symbol.dispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** The values of a planner's variables are the largest part of a call. */
const maxBytes = 4 * 1024 * 1024
const argumentOf = async (req: IncomingMessage): Promise<unknown> =>
  JSON.parse((await readBody(req, maxBytes, tooLarge)).toString())
const tooLarge = () => new Error(`A call has at most ${maxBytes} bytes.`)

async function answer(
  req: IncomingMessage,
  res: ServerResponse,
  handlers: Map<string, Handler>,
): Promise<void> {
  const gone = new AbortController()
  res.on('close', () => gone.abort())
  try {
    const handler = handlers.get(req.url ?? '')
    if (!handler) throw new Error(`There is no call ${req.url}.`)
    const result = await handler(await argumentOf(req), gone.signal)
    res.writeHead(200).end(JSON.stringify(result))
  } catch (error) {
    const body = error instanceof Problem ? error.body() : { error: errorMessage(error) }
    res.writeHead(500).end(JSON.stringify(body))
  }
}
