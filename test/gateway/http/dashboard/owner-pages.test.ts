import { expect, test } from 'vitest'
import type { Owner } from '../../../../api/owners/owner.ts'
import { startMachines } from '../../start-machines.ts'
import { openBrowser } from './send-form.ts'

test(
  'an owner with an app of its own is shown, stopped, moved and destroyed',
  { timeout: 60_000 },
  async () => {
    await using gateway = await startMachines({ owners: 'app-per-owner' })
    const { deploy, images, get, ended } = gateway
    const { name, digest } = images.put('shop', 'v1')
    await deploy('shop', { image: name })
    await deploy('shop', { release: 1, app: 'shop' }, { owner: 'ada' })
    const owner = () => get<Owner>('/v1/apps/shop/owners/ada')
    const { machines, flyApp } = await owner()
    expect(flyApp).not.toBe('shop')

    const { read, send } = await openBrowser(gateway)
    const board = (await read('/ui/apps/shop/owners')).text
    expect(board).toMatch(new RegExp(`/ui/apps/shop\\?owner=ada"[^]*running[^]*${flyApp}`))
    expect((await read('/ui/apps/shop/owners?state=stopped')).text).toContain('No owner is stopped')
    expect((await read('/ui/apps/shop')).text).toContain('All its owners')

    const page = '/ui/apps/shop?owner=ada'
    const shown = (await read(page)).text
    for (const part of [`${flyApp}, its own`, machines[0]!.id, 'Stop ada…', 'Destroy ada…'])
      expect(shown).toContain(part)
    const power = (action: string) => send(page, '/ui/apps/shop/owners/ada/power', { action })
    expect((await power('stop')).next).toBe(`${page}#owner`)
    expect((await owner()).state).toBe('stopped')
    expect((await read(page)).text).toContain('It is stopped already.')

    const move = '/ui/apps/shop/owners/ada/move'
    expect((await read(move)).text).toMatch(/name="release"[^>]*value="1"/)
    const wrong = await send(move, move, { release: '9' })
    expect([wrong.status, wrong.text]).toEqual([
      404,
      expect.stringMatching(/value="9"[^>]*aria-inv/),
    ])
    const moved = await send(move, move, { release: '1' })
    const record = await ended(moved.next!.split('/').at(-1)!)
    expect(record).toMatchObject({ owner: 'ada', state: 'live', image: { digest } })

    const end = (fields: Record<string, string>) =>
      send(page, '/ui/apps/shop/owners/ada/destroy', fields)
    const untyped = await end({ volumes: 'delete', confirm: 'bob' })
    expect([untyped.status, (await owner()).state]).toEqual([422, 'stopped'])
    expect(untyped.text).toMatch(/<details id="owner-destroy"[^>]* open/)
    expect(untyped.text).toMatch(/value="delete"\s+selected/)
    expect((await end({ volumes: 'delete', confirm: 'ada' })).next).toBe('/ui/apps/shop/owners')
    expect((await read('/ui/apps/shop/owners')).text).toContain('There is none yet')
  },
)

test('a router shows where it runs and what it routes, and is deployed again and deleted', async () => {
  await using gateway = await startMachines()
  const { call, images, buildAndDeploy, deploy, ended } = gateway
  const { read, send } = await openBrowser(gateway)
  expect((await read('/ui/routers')).text).toContain('tarmac router my-app')
  const made = await call<{ deployment: string }>('POST', '/v1/apps/shop/router', {})
  const { digest } = images.put('shop-router', 'r1')
  const reference = `${images.host}/shop-router@${digest}`
  const first = await buildAndDeploy(made.body.deployment, { reference, digest, tags: [] })
  expect(first.state).toBe('live')
  await deploy('shop', { image: images.put('shop', 'v1').name }, { owner: 'ada' })

  expect((await read('/ui/routers')).text).toMatch(/shop-router[^]*release \d/)
  const page = '/ui/apps/shop/router'
  const shown = (await read(page)).text
  const [{ id } = { id: '' }] = gateway.fly.machines('shop')
  expect(shown).toMatch(new RegExp(`owner=ada"[^]*<code>${id}</code>`))
  expect(shown).toContain(gateway.fly.machines('shop-router')[0]!.id)
  const wrong = await send(page, `${page}/deploy`, { domain: 'Not A Domain' })
  expect([wrong.status, wrong.text]).toEqual([422, expect.stringContaining('value="Not A Domain"')])
  const again = await send(page, `${page}/deploy`, { domain: 'users.example.com' })
  expect(again.next).toMatch(/^\/ui\/deployments\//)
  const { digest: newer } = images.put('shop-router', 'r2')
  const second = { reference: `${images.host}/shop-router@${newer}`, digest: newer, tags: [] }
  const { state } = await buildAndDeploy(again.next!.split('/').at(-1)!, second)
  expect(state).toBe('live')

  expect((await read(page)).text).toMatch(/Go back to a release…[^]*<option value="1"/)
  expect((await send(page, `${page}/deploy`, { release: '9' })).status).toBe(404)
  const back = await send(page, `${page}/deploy`, { release: '1' })
  const record = await ended(back.next!.split('/').at(-1)!)
  expect(record).toMatchObject({ state: 'live', image: { digest } })

  expect((await send(page, `${page}/remove`, { confirm: 'shop' })).status).toBe(422)
  expect((await send(page, `${page}/remove`, { confirm: 'shop-router' })).next).toBe('/ui/routers')
  expect((await read(page)).status).toBe(404)
})
