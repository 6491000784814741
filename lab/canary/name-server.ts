/** A resolver that knows a few names, over UDP. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'

const headerBytes = 12
const answerFlags = 0x8180
const nameError = 3

export async function startNameServer(
  address: string,
  names: Record<string, string>,
): Promise<Disposable> {
  const socket = createSocket('udp4')
  socket.on('message', (question, from) =>
    socket.send(answerTo(question, names), from.port, from.address),
  )
  socket.bind(53, address)
  await once(socket, 'listening')
  return { [Symbol.dispose]: () => socket.close() }
}

function answerTo(question: Buffer, names: Record<string, string>): Buffer {
  const labels: string[] = []
  let at = headerBytes
  for (let length = question[at]!; length > 0; length = question[at]!) {
    labels.push(question.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const address = names[labels.join('.').toLowerCase()]
  const type = question.readUInt16BE(at + 1)
  const fits = address !== undefined && type === (isIPv6(address) ? 28 : 1)
  const header = Buffer.alloc(headerBytes)
  question.copy(header, 0, 0, 2)
  header.writeUInt16BE(answerFlags | (address === undefined ? nameError : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(fits ? 1 : 0, 6)
  const asked = question.subarray(headerBytes, at + 5)
  if (!fits) return Buffer.concat([header, asked])
  const data = isIPv6(address) ? bytesOfIPv6(address) : Buffer.from(address.split('.').map(Number))
  const record = Buffer.from([0xc0, headerBytes, 0, type, 0, 1, 0, 0, 0, 0, 0, data.length])
  return Buffer.concat([header, asked, record, data])
}

function bytesOfIPv6(address: string): Buffer {
  const [front = [], back = []] = address.split('::').map((half) => half.split(':').filter(Boolean))
  const words = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back]
  return Buffer.from(words.map((word) => word.padStart(4, '0')).join(''), 'hex')
}
