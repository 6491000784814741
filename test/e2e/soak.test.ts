import { expect, test } from 'vitest'
import { allStrategies, deployAtRandom, soakSettings } from '../../lab/soak/deploys.ts'
import { Truth } from '../../lab/soak/truth.ts'
import { deployFolder } from '../../lab/use-lab.ts'
import { amount } from '../long.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab(soakSettings),
  (fresh) => void (lab = fresh),
)

test('every verdict of random deployments is true with Fly at its worst, and nothing is left over', async () => {
  const story: string[] = []
  const plan = {
    seed: 7,
    times: amount(16, 150),
    apps: 4,
    strategies: allStrategies,
    say: (line: string) => void story.push(line),
  }
  const { untrue, ends } = await deployAtRandom(lab, plan)
  expect(untrue, story.join('\n')).toEqual([])
  expect(ends['live']).toBeGreaterThan(0)
  expect(ends['deploy-failed']).toBeGreaterThan(0)
})

test('the soak’s check detects a false verdict', async () => {
  const truth = new Truth(lab)
  const said = await deployFolder(lab, 'honest', await lab.source(pageApp('red')))
  const lies = (claim: Partial<typeof said>, page = 'red') =>
    truth.check('honest', { ...said, ...claim }, page, null)
  expect(await lies({})).toMatchObject({ served: { page: 'red' }, wrong: [] })

  const digest = `sha256:${'0'.repeat(64)}`
  const [image, page, failed] = await Promise.all([
    lies({ image: { ...said.image!, digest } }),
    lies({}, 'blue'),
    lies({ state: 'deploy_failed' }),
  ])
  expect(image.wrong.join()).toContain(`not ${digest}`)
  expect(page.wrong.join()).toContain('the page is 200 red')
  expect(failed.wrong.join()).toContain(`stray machine ${said.machines[0]!.id}`)
})
