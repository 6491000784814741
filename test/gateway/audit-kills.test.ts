import { expect, test } from 'vitest'
import { killAndVerify } from '../../lab/soak/audit.ts'
import { amount } from '../long.ts'

test(
  'the audit trail is whole and complete after each kill -9 of a real gateway',
  {
    timeout: amount(60_000, 300_000),
  },
  async () => {
    const lines: string[] = []
    const plan = {
      kills: amount(2, 10),
      seed: Number(process.env['TARMAC_SEED'] ?? Date.now() % 1e6),
    }
    const faults = await killAndVerify({ ...plan, say: (line) => void lines.push(line) })
    expect([lines[0], faults]).toEqual([lines[0], []])
  },
)
