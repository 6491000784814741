import { expect, test } from 'vitest'
import { killAtRandom, killSettings } from '../../lab/soak/kill.ts'
import { shareLab } from './shared-lab.ts'
import { startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab(killSettings),
  (fresh) => void (lab = fresh),
)

test(
  'sixty kills under load lose nothing, double nothing and leave nothing',
  { timeout: 900_000 },
  async () => {
    const story: string[] = []
    const plan = { times: 60, seed: Date.now() % 1e6, say: (line: string) => void story.push(line) }
    expect(await killAtRandom(lab, plan), story.join('\n')).toEqual([])
  },
)
