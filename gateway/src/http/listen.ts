import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Problem } from '#api/problem.ts'
import { maxOpenFiles } from '../host/open-files.ts'
import { accessLog } from './access-log.ts'
import { HeldRequests } from './held-requests.ts'
import { httpApp } from './app.ts'
import { type Authorize, authorizer, prover } from './auth.ts'
import { requestAdmission } from './request-admission.ts'
import { checkForm } from './body/request-form.ts'
import {
  type ConnectionLimits,
  Connections,
  defaultConnectionLimits,
  ofSocket,
} from './connections.ts'
import { eventsReader, readerGate } from './log/endpoint.ts'
import { isForEvents } from './log/log-address.ts'
import { ReleasedAnswers } from './log/released.ts'
import { EventsSocket } from './log/websocket.ts'
import type { GuardedCommands } from '../commands/access/guarded.ts'
import type { ServerDeps } from './deps.ts'
import { sendProblem } from './problem.ts'
import { refuseTokenInAddress } from './token-in-address.ts'
import { answerUnreadable, bareAnswer, headersMs } from './unreadable.ts'
import { isWebSocket, Upgrades } from './upgrades.ts'

type Listening = {
  url: string
  port: number
  /** Stops listening at once if no connection is open. Returns whether it did. */
  stopAccepting(): boolean
  [Symbol.asyncDispose](): Promise<void>
}
type Options = { host: string; port: number; graceMs?: number; limits?: Partial<ConnectionLimits> }

/** How many of the process's file descriptors to keep for its own work. */
const ownFiles = 512

/**
 * Serves the gateway on an address (port 0: any free port). Disposing accepts no new connection,
 * waits `graceMs` for answers in progress, then cuts the rest. Fire `deps.stopping` first.
 */
export async function listen(
  commands: GuardedCommands,
  deps: ServerDeps,
  options: Options,
): Promise<Listening> {
  const { host, port, graceMs = 5000 } = options
  const maxConnections = Math.max(ownFiles, maxOpenFiles() - ownFiles)
  const strangers = Math.min(defaultConnectionLimits.strangers, Math.floor(maxConnections / 4))
  const connections = new Connections({ ...defaultConnectionLimits, strangers, ...options.limits })
  const released = new ReleasedAnswers(connections)
  const { answer, sockets } = handlers(commands, deps, { connections, released })
  const server = openServer({ connections, answer, sockets, released })
  server.maxConnections = maxConnections
  server.listen(port, host)
  await once(server, 'listening')
  server.on('error', (err) => deps.log.warn({ err }, 'connection not accepted'))

  const closed = new Promise((resolve) => server.once('close', resolve))
  const at = server.address()
  if (at === null || typeof at === 'string') throw new Error('The server listens on no port.')
  return {
    url: `http://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}`,
    port: at.port,
    stopAccepting() {
      const isQuiet = connections.count === 0
      if (isQuiet) server.close()
      return isQuiet
    },
    async [Symbol.asyncDispose]() {
      server.close()
      const cut = setTimeout(() => {
        server.closeAllConnections()
        sockets.cut()
        released.cut()
      }, graceMs)
      await closed
      clearTimeout(cut)
    },
  }
}

/**
 * What answers requests: the log of a deployment, or Express for all others. Both have the same
 * authorization, access log and problems.
 */
function handlers(
  commands: GuardedCommands,
  deps: ServerDeps,
  { connections, released }: { connections: Connections; released: ReleasedAnswers },
) {
  const prove = prover(deps.authenticate, deps.sourceOf)
  const pass = authorizer(prove, deps.sessionOf)
  const held = new HeldRequests(deps.awake)
  const answers = new WeakMap<IncomingMessage, ServerResponse>()
  const admit = requestAdmission(deps.admission, answers)
  const authorize: Authorize = async (request) => {
    await pass(request)
    connections.trust(request.socket)
    held.authorized(request)
    admit(request)
  }
  const openReader = readerGate(commands, authorize)
  const app = httpApp(commands, deps, { authorize, prove })
  const readEvents = eventsReader(deps, openReader, released)
  const noteAccess = accessLog(deps.log, deps.stopping)

  const answer = (request: IncomingMessage, response: ServerResponse) =>
    connections.serialize(request, response, () => {
      try {
        checkForm(request)
        const noteEnd = noteAccess(request, response)
        held.begin(request, response)
        answers.set(request, response)
        refuseTokenInAddress(request)
        if (!isForEvents(request)) return void app(request, response)
        released.ask(request, response, noteEnd)
      } catch (error) {
        response.shouldKeepAlive = false
        return void sendProblem(request, response, error, deps.log)
      }
      readEvents(request, response).catch((error: unknown) =>
        sendProblem(request, response, error, deps.log),
      )
    })
  return { answer, sockets: new EventsSocket(deps, openReader) }
}

function openServer({
  connections,
  answer,
  sockets,
  released,
}: {
  connections: Connections
  answer: (request: IncomingMessage, response: ServerResponse) => void
  sockets: EventsSocket
  released: ReleasedAnswers
}): Server {
  const upgrades = new Upgrades(connections)
  const server = createServer({
    headersTimeout: headersMs,
    // A whole request has no limit, because uploads are long. The reader of a body checks that
    // bytes keep coming.
    requestTimeout: 0,
    connectionsCheckingInterval: 2000,
    keepAliveTimeout: 5000,
    keepAlive: true,
    maxHeaderSize: 16_384,
    requireHostHeader: false, // `checkForm` requires it
    shouldUpgradeCallback: upgrades.take,
  })
  server.maxHeadersCount = 0 // `checkForm` refuses too many headers
  server.on('connection', (socket: Socket) => connections.accept(socket))
  server.on('request', answer)
  server.on('checkContinue', answer) // `askForBody` sends 100 Continue after the other checks
  server.on('checkExpectation', answer) // a server may ignore other expectations (RFC 9110, 10.1.1)
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (released.take(request, socket)) return
    socket.on('error', destroyIt)
    const putBack = (keepHeader: boolean) => {
      upgrades.putBack(server, { request, socket, head }, keepHeader)
      if (!socket.destroyed) socket.off('error', destroyIt) // the server adds its own error listener
    }
    if (!isWebSocket(request) || !isForEvents(request)) putBack(false)
    else sockets.take({ request, socket, head }, () => putBack(true))
  })
  server.on('clientError', (error, socket) => {
    if (socket instanceof Socket) answerUnreadable(error, socket, connections)
    else socket.destroy()
  })
  server.on('connect', (request: IncomingMessage, line: Duplex) =>
    refuseTunnel(request, line, connections),
  )
  return server
}

/** It does not hold the request of a socket that is taken. */
const destroyIt = ofSocket((socket) => socket.destroy())

/**
 * Refuses `CONNECT`: the gateway is no proxy. `line` is the bare connection, or a stand-in while a
 * body is still arriving.
 */
function refuseTunnel({ socket }: IncomingMessage, line: Duplex, connections: Connections): void {
  line.on('error', () => socket.destroy())
  socket.on('error', () => socket.destroy())
  if (connections.isBusy(socket)) return void socket.destroy()
  const problem = new Problem(
    'method-not-allowed',
    'The gateway is no proxy. Ask it for a path, without CONNECT.',
  )
  line.end(bareAnswer(problem), () => socket.destroySoon())
}
