import { expect, test } from 'vitest'
import { startMachines } from '../../start-machines.ts'
import { openBrowser } from './send-form.ts'

async function withApp() {
  const gateway = await startMachines({ hasKey: true })
  await gateway.deploy('shop', { image: gateway.images.put('shop', 'v1').name })
  return { ...gateway, ...(await openBrowser(gateway)), page: '/ui/apps/shop' }
}

test('settings change by a form, and one that is invalid is shown beside its field', async () => {
  await using app = await withApp()
  const page = '/ui/apps/shop/settings'
  expect((await app.read(page)).text).toContain('Empty means latest.')
  const set = await app.send(page, page, { lane: 'fifo', builds: '3', region: '' })
  expect(set.next).toBe('/ui/apps/shop#settings')
  expect(await app.store.appSettings('shop')).toEqual({ lane: 'fifo', builds: 3 })
  const wrong = await app.send(page, page, { lane: '', builds: 'many', buildSeconds: '90' })
  expect(wrong.status).toBe(422)
  expect(wrong.text).toMatch(/name="builds"[^>]*value="many"[^>]*aria-invalid/)
  expect(wrong.text).toContain('value="90"')
  await app.send(page, page, { lane: '', builds: '3' })
  expect(await app.store.appSettings('shop')).toEqual({ builds: 3 })
})

test('a variable is set, deployed and removed, and one of the build too', async () => {
  await using app = await withApp()
  const { page, send, read, store } = app
  const set = (fields: Record<string, string>) => send(page, `${page}/variables/set`, fields)
  expect((await set({ name: 'GREETING', value: 'hi', of: 'machines' })).text).toContain(
    'Variable GREETING is changed',
  )
  expect((await set({ name: 'LEVEL', value: '2', of: 'build' })).next).toContain('#variables')
  expect(await store.appSettings('shop')).toEqual({
    env: { GREETING: 'hi' },
    build: { LEVEL: '2' },
  })
  const now = await set({ name: 'GREETING', value: 'hello', of: 'machines', deploy: 'true' })
  const id = /\/ui\/deployments\/([\w-]+)/.exec(now.text)![1]!
  expect(await app.ended(id)).toMatchObject({ state: 'live' })
  expect(app.fly.machines('shop')[0]!.config.env).toMatchObject({ GREETING: 'hello' })
  expect((await read(page)).text).toMatch(/GREETING[^]*hello[^]*settings/)

  const wrong = await set({ name: '1ST', value: 'typed before', of: 'machines' })
  expect([wrong.status, wrong.text]).toEqual([
    422,
    expect.stringContaining('typed before</textarea'),
  ])
  await send(page, `${page}/variables/unset`, { name: 'GREETING', of: 'machines' })
  await send(page, `${page}/variables/unset`, { name: 'LEVEL', of: 'build' })
  expect(await store.appSettings('shop')).toEqual({ env: {}, build: {} })
})

test('a secret is set and unset; no page has its value, not even after a refusal', async () => {
  await using app = await withApp()
  const { page, send, read } = app
  const value = 'a-very-secret-value'
  const set = (fields: Record<string, string>) =>
    send(page, `${page}/secrets/set`, { value, ...fields })
  expect((await set({ name: 'API_KEY', of: 'machines' })).text).toContain(
    'Secret API_KEY is changed',
  )
  const build = await set({ name: 'NPM_TOKEN', of: 'build' })
  expect(build.next).toBe(`${page}#secrets`)
  const wrong = await set({ name: 'no name', of: 'build' })
  expect([wrong.status, wrong.text]).toEqual([422, expect.stringContaining('value="no name"')])
  const shown = (await read(page)).text
  expect(shown).toMatch(/API_KEY[^]*staged/)
  expect(shown).toContain('NPM_TOKEN')
  expect(shown + wrong.text + (await read('/ui/audit')).text).not.toContain(value)

  const deployed = await send(page, `${page}/secrets/deploy`, {})
  await app.ended(/\/ui\/deployments\/([\w-]+)/.exec(deployed.text)![1]!)
  expect((await read(page)).text).toMatch(/API_KEY[^]*deployed/)
  await send(page, `${page}/secrets/unset`, { name: 'NPM_TOKEN', of: 'build' })
  expect((await read(page)).text).not.toContain('NPM_TOKEN')
})
