import { expect, test as each } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { deployed, digest, refused } from './deployed.ts'

const test = each.concurrent
const flyToml = `[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\n[deploy]\nmax_unavailable = 1`

test('machines that do not serve are restored together, the serving ones a few at a time', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml, watchMs: 0 })
  const [model] = fly.machines('web')
  for (let at = 1; at < 6; at++)
    fly.apps
      .get('web')
      ?.machines.set(`m${at}`, { ...structuredClone(model!), id: `m${at}`, name: `more-${at}` })
  fly.natures.set(digest(2), 'check-fails')
  const under = new Set<string>()
  const most = { serving: 0, idle: 0 }
  const emit = (event: NewEvent) => {
    if (event.type !== 'machine') return
    // Two machines pass their checks.
    if (event.status === 'checking' && /^m[12]$/.test(event.machine))
      fly.apps.get('web')!.machines.get(event.machine)!.checks![0]!.status = 'passing'
    if (event.status === 'rolling_back') under.add(event.machine)
    if (event.status === 'rolled_back') under.delete(event.machine)
    const kind = under.has('m1') || under.has('m2') ? 'serving' : 'idle'
    most[kind] = Math.max(most[kind], under.size)
  }
  const options = { strategy: 'immediate' } as const
  await refused(deployed(fly, { number: 2, flyToml, options, emit, waitMs: 1000 }))
  expect(most).toEqual({ serving: 1, idle: 4 })
  expect(new Set(fly.machines('web').map(({ image_ref }) => image_ref?.digest))).toEqual(
    new Set([digest(1)]),
  )
})
