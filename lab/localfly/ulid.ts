import { randomBytes } from 'node:crypto'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
let lastMs = 0

/** Returns a ULID that sorts after every earlier one of this process. */
export function ulid(): string {
  lastMs = Math.max(Date.now(), lastMs + 1)
  let time = ''
  for (let rest = lastMs, i = 0; i < 10; i++, rest = Math.floor(rest / 32))
    time = alphabet[rest % 32] + time
  return time + Array.from(randomBytes(16), (byte) => alphabet[byte % 32]).join('')
}
