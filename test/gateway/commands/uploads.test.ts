import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { MadeToken } from '#api/callers/token.ts'
import type { Deployment } from '#api/deployment.ts'
import type { Preview } from '#api/previews/preview.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { Rollout } from '#api/rollout.ts'
import { authorization, startHttp } from '../http/start-http.ts'
import { forShop, made, offsetOf, patch, tus } from '../http/uploads/tus-calls.ts'
import { startMachines } from '../start-machines.ts'

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })

/** A finished upload for `shop`. Returns its id. */
async function finished(url: string, text = 'tar', headers: Record<string, string> = {}) {
  const path = await made(url, text.length, headers)
  await patch(url, path, { at: 0, body: text })
  return path.split('/').at(-1)!
}

type Answered = Pick<Deployment, 'id' | 'source'> &
  Pick<MadeToken, 'token'> &
  Pick<ProblemBody, 'code'> &
  Record<string, unknown>
const json = async (url: string, path: string, body: object, headers: object = {}) => {
  const answer = await fetch(url + path, {
    method: 'POST',
    headers: { ...authorization, 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return { status: answer.status, body: (await answer.json()) as Answered }
}

test('a finished upload is deployed once, and its bytes are those that were sent', async () => {
  await using http = await startHttp()
  const digest = `sha-256=:${createHash('sha256').update('tar').digest('base64')}:`
  const id = await finished(http.url, 'tar', { 'Repr-Digest': digest })
  const deploy = (key: string, more: object = {}) =>
    json(
      http.url,
      '/v1/apps/shop/deployments',
      { source: { upload: id }, secrets: { NPM_TOKEN: 'very secret' }, ...more },
      { 'Idempotency-Key': key },
    )

  const first = await deploy('one')
  const sha256 = createHash('sha256').update('tar').digest('hex')
  expect([first.status, first.body.source!.digest]).toEqual([202, `sha256:${sha256}`])
  expect(http.received).toEqual([{ sizeBytes: 3, contentDigest: digest }])
  const secrets = await http.store.secretsOf(`deployment:${first.body.id}`)
  expect(secrets.map(({ name }) => name)).toEqual(['NPM_TOKEN'])
  // It is used: a retry of the request gets its deployment, another request gets none.
  expect((await tus(http.url, 'HEAD', {}, { path: id })).status).toBe(404)
  const again = await deploy('one')
  expect([again.status, again.body.id]).toEqual([202, first.body.id])
  expect((await deploy('one', { target: 'prod' })).body.code).toBe('idempotency-mismatch')
  expect((await deploy('two')).body.code).toBe('upload-not-found')
})

test('an archive that is refused stays an upload, and so does one whose lane is busy', async () => {
  await using http = await startHttp()
  const id = await finished(http.url, 'refuse it')
  const deploy = (more: object = {}) =>
    json(http.url, '/v1/apps/shop/deployments', { source: { upload: id }, ...more })
  const refused = await deploy()
  expect([refused.status, refused.body.code]).toEqual([415, 'archive-unsupported'])
  expect(await offsetOf(http.url, id)).toBe('9')

  await http.create()
  expect((await deploy({ lane: 'reject' })).body.code).toBe('lane-busy')
  expect(await offsetOf(http.url, id)).toBe('9')
})

test('what is no finished upload of this app is refused with what to do', async () => {
  await using http = await startHttp()
  const path = await made(http.url, 5)
  await patch(http.url, path, { at: 0, body: 'abc' })
  const id = path.split('/').at(-1)!
  const deploy = async (app: string, body: object) => {
    const answer = await json(http.url, `/v1/apps/${app}/deployments`, body)
    return [answer.status, answer.body.code, answer.body['offset'], answer.body['length']]
  }
  const none = [undefined, undefined]
  const upload = (of: unknown) => ({ source: { upload: of } })
  expect(await deploy('shop', upload(id))).toEqual([409, 'upload-unfinished', 3, 5])
  expect(await deploy('blog', upload(id))).toEqual([422, 'option-invalid', ...none])
  expect(await deploy('shop', upload('0'.repeat(32)))).toEqual([404, 'upload-not-found', ...none])
  for (const wrong of ['', '../x', 5, null, id.toUpperCase(), `${id}0`])
    expect(await deploy('shop', upload(wrong))).toEqual([400, 'request-invalid', ...none])
  expect(await deploy('shop', { source: { upload: id, image: 'nginx' } })).toEqual([
    400,
    'request-invalid',
    ...none,
  ])
  for (const secrets of [[], 'a', { A: 1 }, null])
    expect(await deploy('shop', { ...upload(id), secrets })).toEqual([
      422,
      'secret-invalid',
      ...none,
    ])
})

test('an upload is of its caller alone', async () => {
  await using http = await startHttp()
  const tokenOf = async (name: string, more: object = {}) => {
    const asked = { name, scopes: ['deploy'], ...more }
    return bearer((await json(http.url, '/v1/tokens', asked)).body.token)
  }
  const [ci, other] = [await tokenOf('ci'), await tokenOf('other')]
  const path = await made(http.url, 5, {}, { token: ci })
  const id = path.split('/').at(-1)!
  await patch(http.url, path, { at: 0, body: 'abcde', token: ci })

  for (const token of [other, authorization]) {
    const codes = [
      (await tus(http.url, 'HEAD', {}, { path, token })).status,
      (await patch(http.url, path, { at: 5, body: '', token })).problem!.code,
      (await tus(http.url, 'DELETE', {}, { path, token })).problem!.code,
      (await json(http.url, '/v1/apps/shop/deployments', { source: { upload: id } }, token)).body
        .code,
    ]
    expect(codes).toEqual([404, ...Array(3).fill('upload-not-found')])
  }

  // Another token of the same name is another caller.
  await fetch(`${http.url}/v1/tokens/ci`, { method: 'DELETE', headers: authorization })
  const namesake = await tokenOf('ci')
  expect((await tus(http.url, 'HEAD', {}, { path, token: namesake })).status).toBe(404)
})

test('an upload needs the right to deploy its app', async () => {
  await using http = await startHttp()
  const create = async (token: object, app = 'shop') => {
    const made = (await json(http.url, '/v1/tokens', token)).body.token
    const metadata = `app ${Buffer.from(app).toString('base64')}`
    const headers = { 'Upload-Length': '1', 'Upload-Metadata': metadata }
    const answer = await tus(http.url, 'POST', headers, { token: bearer(made) })
    return [answer.status, answer.problem?.code]
  }
  expect(await create({ name: 'a', scopes: ['read'] })).toEqual([403, 'forbidden'])
  expect(await create({ name: 'b', scopes: ['deploy'], apps: ['blog'] })).toEqual([
    404,
    'app-not-found',
  ])
  expect(await create({ name: 'c', scopes: ['deploy'], apps: ['shop'], owners: ['ada'] })).toEqual([
    201,
    undefined,
  ])
  expect((await tus(http.url, 'POST', {}, { token: {} })).status).toBe(401)
})

test('a kept upload counts as one of its team, until it is deleted or expires', async () => {
  await using http = await startHttp()
  await http.store.teams.setQuotas('default', { uploads: 1, 'upload-mib-per-day': 1 })
  const token = bearer(
    (await json(http.url, '/v1/tokens', { name: 'ci', scopes: ['deploy'] })).body.token,
  )
  const create = (length: number) =>
    tus(
      http.url,
      'POST',
      { 'Upload-Length': String(length), 'Upload-Metadata': forShop },
      { token },
    )
  expect((await create(2 ** 21)).problem!.code).toBe('quota-reached')
  const path = (await create(600_000)).get('Location')!
  expect((await create(1)).problem!.code).toBe('quota-reached')
  // Its own parts need no slot. Their bytes count for the day.
  const body = Buffer.alloc(600_000)
  expect((await patch(http.url, path, { at: 0, body, token })).status).toBe(204)
  expect((await tus(http.url, 'DELETE', {}, { path, token })).status).toBe(204)
  expect((await create(1)).status).toBe(201)
  await tus(http.url, 'DELETE', {}, { path: (await create(1)).get('Location') ?? path, token })
  const late = await create(600_000)
  expect([late.status, late.problem!.code]).toEqual([429, 'quota-reached'])
})

test('previews and rollouts take an upload too', async () => {
  await using gateway = await startMachines()
  const { url, call } = gateway
  const key = { 'Idempotency-Key': 'a' }
  const preview = { app: 'shop', owner: 'ada', source: { upload: await finished(url) } }
  const one = await call<Preview>('POST', '/v1/previews', preview, key)
  expect([one.status, one.body.app]).toEqual([202, 'shop'])
  const two = await call<Preview>('POST', '/v1/previews', preview, key)
  expect(two.body.id).toBe(one.body.id)
  const other = await call<ProblemBody>('POST', '/v1/previews', preview)
  expect(other.body.code).toBe('upload-not-found')

  const source = { upload: await finished(url) }
  const targets = [{ app: 'shop', env: { A: '1' } }, { app: 'blog' }]
  const asked = { source, targets, options: { dockerfile: 'Dockerfile.prod' } }
  const otherKey = { 'Idempotency-Key': 'b' }
  const rollout = await call<Rollout>('POST', '/v1/rollouts', asked, otherKey)
  expect([rollout.status, rollout.body.counts]).toEqual([202, { waiting: 2 }])
  const build = (await gateway.store.find(rollout.body.build!))!
  expect(build).toMatchObject({ app: 'shop', options: { deploy: false, env: {} } })
  expect(build.options.dockerfile).toBe('Dockerfile.prod')
  expect((await call<Rollout>('POST', '/v1/rollouts', asked, otherKey)).body.id).toBe(
    rollout.body.id,
  )
})
