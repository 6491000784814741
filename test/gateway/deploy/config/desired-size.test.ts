import { expect, test } from 'vitest'
import { FakeFly } from '../../../fakes/machines-api.ts'
import { deployed, refused } from '../deployed.ts'

const http = '[http_service]\ninternal_port = 80\n'

test('a machine whose config on Fly has 10 MB is refused before it is touched, and named', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  const [machine] = fly.machines('web')
  machine!.config['notes'] = 'x'.repeat(10e6)
  const before = structuredClone(machine)
  const problem = await refused(deployed(fly, { number: 2, flyToml: http, watchMs: 0 }))
  expect(problem).toMatchObject({
    code: 'record-too-large',
    facts: { machine: machine!.id, limitBytes: 6 * 2 ** 20 },
  })
  expect(problem.message).toContain(machine!.id)
  expect(fly.machines('web')).toEqual([before])
})

test('shared parts of many machines count once, so a rollout over all of them can be recorded', async () => {
  await using fly = await FakeFly.start()
  const flyToml = `${http}[env]\nTEXT = "${'x'.repeat(700_000)}"`
  let largest = 0
  const kept = async (rollout: unknown) =>
    void (largest = Math.max(largest, JSON.stringify(rollout).length))
  await deployed(fly, { number: 1, flyToml, watchMs: 0, options: { count: 5 }, kept })
  await deployed(fly, { number: 2, flyToml, watchMs: 0, kept })
  expect(fly.machines('web')).toHaveLength(5)
  expect(largest).toBeGreaterThan(4.5e6)
})

test('more than a thousand machines are refused before the first is created', async () => {
  await using fly = await FakeFly.start()
  const groups = Array.from({ length: 11 }, (_, n) => `g${n} = "x"`).join('\n')
  const problem = await refused(
    deployed(fly, { flyToml: `[processes]\n${groups}`, options: { count: 100 }, watchMs: 0 }),
  )
  expect(problem).toMatchObject({ code: 'record-too-large', facts: { machines: 1100 } })
  expect(fly.machines('web')).toEqual([])
})
