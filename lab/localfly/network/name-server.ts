import { createSocket } from 'node:dgram'
import { getServers } from 'node:dns'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { answerTo, questionOf } from '../../parts/dns-message.ts'
import { flyAddresses } from './fly-names.ts'
import { networkAt } from './networks.ts'
import type { FlyState } from '../state.ts'

const forwardMs = 4000
/** As Fly's, so that a stopped machine is soon forgotten. */
const keptSeconds = 5

/**
 * The resolver of all machines, like `fdaa::3` on Fly: on port 53 (UDP) of the lab's bridge. It
 * knows Fly's names and passes all others to this host's resolvers.
 */
export async function startFlyNames(state: FlyState, host: string): Promise<Disposable> {
  const socket = createSocket('udp4')
  socket.on('error', () => {}) // the bridge is absent for a moment between two machines
  socket.on('message', (message, from) => {
    const question = questionOf(message)
    if (!question) return
    const say = (answer: Buffer) => socket.send(answer, from.port, from.address, () => {})
    const network = networkAt(state, from.address)
    const addresses = flyAddresses(question.name, { state, network, host })
    if (addresses === undefined) forward(message, say)
    else say(answerTo(message, question, addresses, keptSeconds))
  })
  socket.bind(53, host)
  await once(socket, 'listening')
  return { [Symbol.dispose]: () => socket.close() }
}

/** Asks this host's first resolver. Says nothing when it does not answer: the caller asks again. */
function forward(message: Buffer, say: (answer: Buffer) => void): void {
  const [server = '127.0.0.1'] = getServers()
  const [, address = server, port = '53'] =
    /^\[?(.+?)\]?(?::(\d+))?$/.exec(isIPv6(server) ? `[${server}]` : server) ?? []
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  const late = setTimeout(() => socket.close(), forwardMs)
  socket.on('error', () => {})
  socket.on('close', () => clearTimeout(late))
  socket.on('message', (answer) => {
    say(answer)
    socket.close()
  })
  socket.send(message, Number(port), address, () => {})
}
