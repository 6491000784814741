/** Questions and answers of DNS (RFC 1035), as far as a stub resolver of libc sends them. */
import { isIPv6 } from 'node:net'

const headerBytes = 12
const answerFlags = 0x8180
const nameError = 3
const types = { ipv4: 1, ipv6: 28 }
/** What fits into an answer over UDP: 512 bytes. */
const maxAddresses = 16
const maxLabels = 127

export type Question = { name: string; type: number; bytes: Buffer }

/** Reads the one question of a message. Null: it has none that can be read. */
export function questionOf(message: Buffer): Question | null {
  const labels: string[] = []
  let at = headerBytes
  while (at < message.length && message[at]! > 0 && labels.length < maxLabels) {
    labels.push(message.toString('latin1', at + 1, at + 1 + message[at]!))
    at += 1 + message[at]!
  }
  if (at + 5 > message.length) return null
  const bytes = message.subarray(headerBytes, at + 5)
  return { name: labels.join('.').toLowerCase(), type: message.readUInt16BE(at + 1), bytes }
}

/**
 * The answer to a question: the addresses of its type, which may be none. Null: there is no such
 * name. `seconds`: how long the caller may keep it.
 */
export function answerTo(
  message: Buffer,
  { type, bytes }: Question,
  addresses: string[] | null,
  seconds = 0,
): Buffer {
  const fitting = (addresses ?? [])
    .filter((address) => type === (isIPv6(address) ? types.ipv6 : types.ipv4))
    .slice(0, maxAddresses)
  const header = Buffer.alloc(headerBytes)
  message.copy(header, 0, 0, 2)
  header.writeUInt16BE(answerFlags | (addresses === null ? nameError : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(fitting.length, 6)
  return Buffer.concat([header, bytes, ...fitting.map((address) => record(address, type, seconds))])
}

function record(address: string, type: number, seconds: number): Buffer {
  const data = isIPv6(address) ? bytesOfIPv6(address) : Buffer.from(address.split('.').map(Number))
  const front = Buffer.from([0xc0, headerBytes, 0, type, 0, 1, 0, 0, 0, seconds, 0, data.length])
  return Buffer.concat([front, data])
}

function bytesOfIPv6(address: string): Buffer {
  const [front = [], back = []] = address.split('::').map((half) => half.split(':').filter(Boolean))
  const words = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back]
  return Buffer.from(words.map((word) => word.padStart(4, '0')).join(''), 'hex')
}
