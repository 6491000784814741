import { expect, test } from 'vitest'
import { killAtRandom, killSettings } from '../../lab/soak/kill.ts'
import { amount } from '../long.ts'
import { shareLab } from './shared-lab.ts'
import { startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab(killSettings),
  (fresh) => void (lab = fresh),
)

test(
  'kills under load lose nothing, double nothing and leave nothing',
  { timeout: 3_600_000 },
  async () => {
    const story: string[] = []
    const plan = {
      times: amount(25, 100),
      seed: Date.now() % 1e6,
      say: (line: string) => void story.push(line),
    }
    expect(await killAtRandom(lab, plan), story.join('\n')).toEqual([])
  },
)
