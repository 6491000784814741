import { expect, test } from 'vitest'
import { MadeToken } from '../../../../api/callers/token.ts'
import { authorization, startHttp } from '../start-http.ts'
import { ask, formKeyIn, logIn, post, type Server } from './as-browser.ts'

/** A browser of this caller: reads pages, and sends their forms. */
async function browse(server: Server, token?: string) {
  const cookie = await logIn(server, token)
  const read = async (path: string) => {
    const answer = await ask(server, path, { cookie })
    return { status: answer.status, text: await answer.text() }
  }
  return {
    read,
    send: async (path: string, fields: Record<string, string>) => {
      const key = formKeyIn((await read('/ui/queue')).text)
      const answer = await post(server, path, { ...fields, 'form-key': key }, { cookie })
      return {
        status: answer.status,
        next: answer.headers.get('location'),
        text: await answer.text(),
      }
    },
  }
}

const makeToken = async (server: Server, wanted: object) => {
  const answer = await fetch(`${server.url}/v1/tokens`, {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/json' },
    body: JSON.stringify(wanted),
  })
  return MadeToken.parse(await answer.json()).token
}

const never = () => Promise.reject(new Error('not part of this test'))

test('boards without anything say what to type first, with the address of this gateway', async () => {
  await using server = await startHttp({
    rollouts: async () => ({ rollouts: [], next: null }),
    drift: {
      report: never,
      list: async () => ({ checkedAt: null, looked: 0, apps: [] }),
      accept: never,
    },
  })
  const { read } = await browse(server)
  for (const board of ['queue', 'previews', 'rollouts', 'drift', 'callers']) {
    const { status, text } = await read(`/ui/${board}`)
    expect([board, status]).toEqual([board, 200])
    expect(text).toContain(`export TARMAC_GATEWAY=${server.url}`)
  }
})
test('a drain begins and ends by forms, each of which is in the audit trail', async () => {
  await using server = await startHttp()
  const { read, send } = await browse(server)
  expect(await send('/ui/queue/drain', { limit: '60' })).toMatchObject({
    status: 303,
    next: '/ui/queue',
  })
  expect((await read('/ui/queue')).text).toMatch(
    /drained<\/span\s*>\s+The gateway takes no new work/,
  )
  await send('/ui/queue/drain/end', {})
  expect((await read('/ui/queue')).text).toContain('takes work')
  const wrong = await send('/ui/queue/drain', { limit: '-1' })
  expect([wrong.status, wrong.text]).toEqual([422, expect.stringContaining('at most 86400')])
  const audit = (await read('/ui/audit?command=drain.start')).text
  expect(audit).toContain('drain.start')
  expect(audit).toContain('&quot;limitMs&quot;:60000')
})

test('a limited caller sees its own part, and a form does no more than its scopes allow', async () => {
  await using server = await startHttp()
  await server.create()
  const own = await browse(
    server,
    await makeToken(server, { name: 'ci', scopes: ['read'], apps: ['other'] }),
  )
  const queue = (await own.read('/ui/queue')).text
  expect(queue).not.toContain('shop')
  expect(queue).toContain('at most 2 at once')
  expect((await own.read('/ui/audit')).text).toContain('This needs the scope admin')
  expect((await own.read('/ui/callers')).text).toContain('This needs the scope admin')
  const drain = await own.send('/ui/queue/drain', { limit: '60' })
  expect([drain.status, drain.text]).toEqual([403, expect.stringContaining('scope admin')])
  const token = await own.send('/ui/callers/tokens', { name: 'more', scopes: 'admin' })
  expect(token.status).toBe(403)
})

test('a new token is in the answer to its form alone', async () => {
  await using server = await startHttp()
  const { read, send } = await browse(server)
  const made = await send('/ui/callers/tokens', { name: 'ci', scopes: 'read', apps: 'web, pr-*' })
  expect(made.status).toBe(200)
  const secret = /TARMAC_TOKEN=(tmc_\w+)/.exec(made.text)![1]!
  const page = (await read('/ui/callers')).text
  expect(page).toContain('web, pr-*')
  expect(page + (await read('/ui/callers/tokens/ci')).text).not.toContain(secret)
  const wrong = await send('/ui/callers/tokens', { name: 'x y', scopes: 'read' })
  expect([wrong.status, wrong.text]).toEqual([
    422,
    expect.stringContaining('The option name is invalid'),
  ])
})
