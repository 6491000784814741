import { expect, test } from 'vitest'
import { callAtRandom } from '../../lab/soak/callers.ts'
import { amount } from '../long.ts'

test(
  'callers of several teams do nothing without right and lose none while rights change and the gateway is killed',
  { timeout: amount(240_000, 1_200_000) },
  async () => {
    const lines: string[] = []
    const faults = await callAtRandom({
      principals: amount(10, 50),
      teams: amount(2, 10),
      times: amount(250, 10_000),
      kills: amount(1, 4),
      seed: Number(process.env['TARMAC_SEED'] ?? Date.now() % 1e6),
      port: 9641,
      say: (line) => void lines.push(line),
    })
    expect(faults, lines.join('\n')).toEqual([])
  },
)
