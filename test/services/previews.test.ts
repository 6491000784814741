import { expect, test } from 'vitest'
import { previewAtRandom } from '../../lab/soak/previews.ts'
import { amount } from '../long.ts'

test(
  'previews end in time, within their limits, and leave nothing, while Fly and other programs interfere and gateways are killed',
  { timeout: amount(240_000, 1_800_000) },
  async () => {
    const lines: string[] = []
    const faults = await previewAtRandom({
      times: amount(20, 1000),
      gateways: amount(2, 4),
      seed: Number(process.env['TARMAC_SEED'] ?? Date.now() % 1e6),
      port: 9651,
      say: (line) => void lines.push(line),
    })
    expect(faults, lines.join('\n')).toEqual([])
  },
)
