import { expect, test } from 'vitest'
import { uploadAtRandom } from '../../lab/soak/uploads.ts'
import { amount } from '../long.ts'

test('nothing that was sent is lost or left over while lines break and the gateway is killed', async () => {
  const said: string[] = []
  const plan = {
    seconds: amount(20, 300),
    senders: 4,
    seed: Number(process.env['TARMAC_SEED'] ?? Date.now() % 1e6),
    port: 8691,
    say: (line: string) => void said.push(line),
  }
  expect(await uploadAtRandom(plan), said.join('\n')).toEqual([])
  expect(said.at(-1)).toBe('soak: 0 lost, 0 left over')
  expect(said.join()).toMatch(/\d (?:direct|resumable|tree)/)
})
