import { expect, test } from 'vitest'
import { allStrategies, deployAtRandom, soakSettings } from '../../lab/soak/deploys.ts'
import { startTestLab } from './start.ts'

test('of deployments at random, with Fly at its worst, every verdict is true and nothing is left over', async () => {
  await using lab = await startTestLab(soakSettings)
  const story: string[] = []
  const plan = { seed: 7, times: 16, apps: 4, strategies: allStrategies, say: (line: string) => void story.push(line) }
  const { untrue, ends } = await deployAtRandom(lab, plan)
  expect(untrue, story.join('\n')).toEqual([])
  expect(ends['live']).toBeGreaterThan(0)
  expect(ends['deploy-failed']).toBeGreaterThan(0)
})
