/** A bare `ws` server that sends each message to all its readers: what any broadcast takes. */
import { WebSocketServer } from 'ws'

/** `message` is sent so often, with its number in place of NUMBER and its time in place of AT. */
export type BroadcastOrder = { message: string; perSecond: number }

const { message, perSecond } = JSON.parse(process.argv[2]!) as BroadcastOrder
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 1024 })
server.on('listening', () => process.send!((server.address() as { port: number }).port))
server.on('connection', (socket) => {
  // A reader is there when it has its first message.
  if (number > 0) socket.send(textOf(number))
})

let number = 0
const textOf = (seq: number): string =>
  message.replace('NUMBER', String(seq)).replace('AT', new Date().toISOString())
setInterval(() => {
  const text = textOf(++number)
  for (const socket of server.clients) socket.send(text)
}, 1000 / perSecond)
