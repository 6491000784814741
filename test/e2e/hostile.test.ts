import { afterAll, beforeAll, expect, test } from 'vitest'
import { attack, hostileSettings } from '../../lab/soak/hostile.ts'
import { startTestLab, type TestLab } from './start.ts'

let lab: TestLab
beforeAll(async () => void (lab = await startTestLab(hostileSettings)))
afterAll(() => lab[Symbol.asyncDispose]())

test('all kinds of hostile input at once neither end the gateway nor fail an honest deployment', async () => {
  const story: string[] = []
  const plan = {
    minutes: 0.5,
    seed: Date.now() % 1e6,
    say: (line: string) => void story.push(line),
  }
  const { wrong, summary } = await attack(lab, plan)
  expect(wrong, [...story, summary].join('\n')).toEqual([])
})
