/** A resolver that knows a few names, over UDP. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { answerTo, questionOf } from '../parts/dns-message.ts'

export async function startNameServer(
  address: string,
  names: Record<string, string>,
): Promise<Disposable> {
  const socket = createSocket('udp4')
  socket.on('message', (message, from) => {
    const question = questionOf(message)
    if (!question) return
    const known = names[question.name]
    socket.send(answerTo(message, question, known ? [known] : null), from.port, from.address)
  })
  socket.bind(53, address)
  await once(socket, 'listening')
  return { [Symbol.dispose]: () => socket.close() }
}
