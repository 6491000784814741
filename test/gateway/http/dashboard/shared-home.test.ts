import { expect, onTestFinished, test, vi } from 'vitest'
import { MadeToken } from '../../../../api/callers/token.ts'
import { authorization, startHttp, toLive } from '../start-http.ts'
import { ask, logIn } from './as-browser.ts'

/** A server that counts how often home asks for the apps. */
async function start() {
  const server = await startHttp()
  let asked = 0
  const { overview } = server.store
  const apps = overview.apps.bind(overview)
  overview.apps = (...args) => {
    asked++
    return apps(...args)
  }
  const cookie = await logIn(server)
  const home = async (as = cookie) => (await ask(server, '/ui', { cookie: as })).text()
  return {
    server,
    home,
    asked: () => asked,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

test('viewers of home share one answer until a record changes; lines of a log change nothing', async () => {
  await using lab = await start()
  const { server, home, asked } = lab
  await server.create()
  const { more } = await server.play([['analyzing'], ['building']])
  const from = asked()
  // Home shows what runs afresh each second, however long 20 viewers take on a busy machine.
  const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now())
  onTestFinished(() => clock.mockRestore())
  const viewers = await Promise.all(Array.from({ length: 20 }, () => home()))
  expect(viewers.every((page) => page.includes('shop #1'))).toBe(true)
  expect(asked() - from).toBe(1)

  await more({ type: 'log', step: null, stream: 'stdout', text: 'a line' })
  await home()
  expect(asked() - from).toBe(1)

  await server.create()
  expect(await home()).toContain('shop #2')
  expect(asked() - from).toBe(2)
})

test('home of a quiet gateway is made again after each move, and each viewer has a form key of its own', async () => {
  await using lab = await start()
  const { server, home, asked } = lab
  await server.create()
  await server.play(toLive)
  const first = await home()
  const from = asked()
  const other = await logIn(server)
  const second = await home(other)
  expect(asked() - from).toBeLessThanOrEqual(1) // a login is a record too
  const keyIn = (page: string) => /name="form-key" value="([\w-]+)"/.exec(page)![1]
  expect(keyIn(first)).not.toBe(keyIn(second))
})

test('a limited caller never gets the answer of others', async () => {
  await using lab = await start()
  const { server, home } = lab
  await server.create()
  await server.play(toLive)
  expect(await home()).toContain('shop')
  const answer = await fetch(`${server.url}/v1/tokens`, {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'limited', scopes: ['read'], apps: ['other'] }),
  })
  const { token } = MadeToken.parse(await answer.json())
  const limited = await home(await logIn(server, token))
  expect(limited).not.toContain('/ui/apps/shop')
})

test('a reader does not get the links of those who may cancel', async () => {
  await using lab = await start()
  const { server, home } = lab
  const { id } = await server.create()
  const answer = await fetch(`${server.url}/v1/tokens`, {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'reader', scopes: ['read'] }),
  })
  const reader = await logIn(server, MadeToken.parse(await answer.json()).token)
  const cancel = `/ui/deployments/${id}/cancel`
  expect(await home()).toContain(cancel)
  const seen = await home(reader)
  expect(seen).toContain('shop #1')
  expect(seen).not.toContain(cancel)
})
