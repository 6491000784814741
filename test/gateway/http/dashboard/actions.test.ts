import { expect, test } from 'vitest'
import type { Deployment } from '../../../../api/deployment.ts'
import { retryOf } from '../../../../gateway/src/commands/retry.ts'
import { driftPart } from '../../../../gateway/src/http/dashboard/app/drift-part.ts'
import { authorization, startHttp, toBuildFailed } from '../start-http.ts'
import { ask, formKeyIn, logIn, post, type Server } from './as-browser.ts'

/** The fields of the form of a page, as a browser has them. */
async function open(server: Server, cookie: string, path: string) {
  const text = await (await ask(server, path, { cookie })).text()
  const requestKey = /name="request-key" value="(ui-[\w-]+)"/.exec(text)?.[1]
  return {
    text,
    fields: { 'form-key': formKeyIn(text), ...(requestKey && { 'request-key': requestKey }) },
  }
}

test('a cancel is asked for on a page of its own, and done once', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  const cookie = await logIn(server)
  const path = `/ui/deployments/${id}/cancel`
  const { text, fields } = await open(server, cookie, path)
  expect(text).toContain('It leaves the queue. Nothing of it has run. shop has no release yet.')
  const cancelled = await post(server, path, fields, { cookie })
  expect([cancelled.status, cancelled.headers.get('location')]).toEqual([
    303,
    `/ui/deployments/${id}`,
  ])
  expect((await server.store.find(id))?.cancel).toMatchObject({ by: 'operator', abort: false })
  const page = (await open(server, cookie, `/ui/deployments/${id}`)).text
  expect(page).toContain('It has ended: cancelled.')
  expect((await open(server, cookie, path)).text).toMatch(/<button disabled>Cancel it/)
})

test('a cancel while machines change says so, and rolls them back', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  await server.play([['analyzing'], ['building'], ['deploying']])
  const cookie = await logIn(server)
  const path = `/ui/deployments/${id}/cancel`
  const { text, fields } = await open(server, cookie, path)
  expect(text).toMatch(/It changes machines of shop now.*get back the version/s)
  expect(text).toContain('<input type="hidden" name="abort" value="true" />')
  await post(server, path, { ...fields, abort: 'true' }, { cookie })
  expect((await server.store.find(id))?.cancel).toMatchObject({ by: 'operator', abort: true })
  const page = (await open(server, cookie, `/ui/deployments/${id}`)).text
  expect(page).toContain('operator has cancelled it. It is stopping.')
})

test('a form of another session, of another origin, or without its key does nothing', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  const [cookie, other] = [await logIn(server), await logIn(server)]
  const path = `/ui/deployments/${id}/cancel`
  const { fields } = await open(server, cookie, path)
  const foreign = { cookie, headers: { origin: 'http://evil.example' } }
  expect((await post(server, path, fields, { cookie: other })).status).toBe(403)
  expect((await post(server, path, fields, foreign)).status).toBe(401)
  expect((await post(server, path, {}, { cookie })).status).toBe(403)
  expect((await server.store.find(id))?.cancel).toBeNull()

  const retry = `/ui/deployments/${id}/retry?with=source`
  const keyless = await post(server, retry, fields, { cookie })
  expect([keyless.status, await keyless.text()]).toEqual([
    400,
    expect.stringContaining('Open its page again'),
  ])
})

test('a form that is sent twice makes one deployment', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  await server.play(toBuildFailed)
  const cookie = await logIn(server)
  const path = `/ui/deployments/${id}/retry?with=source`
  const { text, fields } = await open(server, cookie, path)
  expect(text).toContain('The same source (1 files, 2 B), with the same options, is built again')
  const answers = await Promise.all([1, 2].map(() => post(server, path, fields, { cookie })))
  const [one, two] = answers.map((answer) => answer.headers.get('location'))
  expect(one).toMatch(/^\/ui\/deployments\/[\w-]+$/)
  expect(two).toBe(one)
})

test('a caller without the right sees the scope that it lacks, and a form that it sends all the same is refused', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  const made = await fetch(`${server.url}/v1/tokens`, {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'reader', scopes: ['read'] }),
  })
  const cookie = await logIn(server, ((await made.json()) as { token: string }).token)
  const { text } = await open(server, cookie, `/ui/deployments/${id}`)
  const why = 'This needs the scope deploy; token:reader has read.'
  expect(text.split(why)).toHaveLength(2) // once for all of them
  expect(text).not.toContain('href="/ui/deployments/')

  const path = `/ui/deployments/${id}/cancel`
  const { fields } = await open(server, cookie, path)
  const refused = await post(server, path, fields, {
    cookie,
    headers: { referer: server.url + path },
  })
  const page = await refused.text()
  expect([refused.status, page]).toEqual([403, expect.stringContaining(why)])
  expect(page).toMatch(/role="alert"[^]*<h1>Cancel shop #1<\/h1>/) // the form itself, again
})

test('what cannot be undone needs the name of the app', async () => {
  const dropped: string[] = []
  await using server = await startHttp({
    removeCache: async (_caller, app) => {
      dropped.push(app)
      return { app, removedBytes: 2e6, keptBytes: 0, removedPlans: 1 }
    },
  })
  const cookie = await logIn(server)
  const path = '/ui/apps/shop/cache/drop'
  const { text, fields } = await open(server, cookie, path)
  expect(text).toContain('cannot be had back')
  const wrong = await post(server, path, { ...fields, confirm: 'blog' }, { cookie })
  expect([wrong.status, dropped]).toEqual([422, []])
  const right = await post(server, path, { ...fields, confirm: 'shop' }, { cookie })
  expect(await right.text()).toContain('The cache of shop is dropped')
  expect(dropped).toEqual(['shop'])
})

test('a source that is no longer kept leaves nothing to retry, and the page says so before', async () => {
  await using server = await startHttp({ hasSource: false })
  const { id } = await server.create()
  await server.play(toBuildFailed)
  const cookie = await logIn(server)
  const { text } = await open(server, cookie, `/ui/deployments/${id}`)
  const why = `The source of deployment ${id} is no longer kept. Send it again.`
  expect(text).toMatch(/<button disabled>Retry…<\/button>\s+<button disabled>Rebuild…/)
  expect(text).toContain(why)
  const page = await open(server, cookie, `/ui/deployments/${id}/retry?with=rebuild`)
  expect(page.text).toMatch(/<button disabled>Rebuild<\/button/)
})

test('drift is accepted from the page of its app, which comes back', async () => {
  const accepted: string[] = []
  const finding = {
    code: 'public-address',
    subject: '2a09::1',
    text: 'shop has the public address 2a09::1.',
    expected: 'no public address',
    found: '2a09::1',
    advice: 'Accept it, or release it.',
    since: null,
  }
  const at = '2026-11-30T12:00:00.000Z'
  const apps = [{ app: 'shop', lookedAt: at, findings: [finding], problem: null }]
  const caller = { commands: { whyNot: { drift: { accept: async () => null } } }, formKey: 'k' }
  const part = await driftPart(caller as never, 'shop', { checkedAt: at, looked: 1, apps })
  expect(part.toString()).toMatch(/shop has the public address[^]*name="from" value="app"/)

  const never = () => Promise.reject(new Error('not part of this test'))
  await using server = await startHttp({
    drift: {
      report: never,
      list: never,
      accept: async (_caller, app) => (accepted.push(app), { app, findings: [] }) as never,
    },
  })
  const cookie = await logIn(server)
  const { fields } = await open(server, cookie, '/ui/callers')
  const sent = { ...fields, from: 'app' }
  const answer = await post(server, '/ui/drift/shop/accept', sent, { cookie })
  expect([answer.headers.get('location'), accepted]).toEqual(['/ui/apps/shop#drift', ['shop']])
})

test('a page of an action says what is wrong with its address', async () => {
  await using server = await startHttp()
  const cookie = await logIn(server)
  const status = async (path: string) => (await ask(server, path, { cookie })).status
  expect(await status('/ui/deployments/none/cancel')).toBe(404)
  expect(await status('/ui/deployments/none/retry?with=luck')).toBe(422)
  expect(await status('/ui/deploy')).toBe(400)
  expect(await status('/ui/apps/shop/releases/x/rollback')).toBe(422)
  expect(await status('/ui/apps/shop/releases/1/rollback')).toBe(404)
})

test('a retry runs every step again only of a source, and not with the same image', async () => {
  const previous = { id: 'd', app: 'shop', options: {}, source: null, image: { reference: 'r' } }
  const retried = (how: Parameters<typeof retryOf>[1]) =>
    retryOf(previous as unknown as Deployment, how, { sources: { tree: async () => [] as never } })
  await expect(retried({ reuseImage: true, rebuild: true })).rejects.toThrow('choose one')
  await expect(retried({ reuseImage: false, rebuild: true })).rejects.toThrow('no source that')
})
