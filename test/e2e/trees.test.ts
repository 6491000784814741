import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { fsck } from '../../gateway/src/sources/fsck/fsck.ts'
import { authorization, startWorld, type World } from '../../lab/soak/uploads/world.ts'
import { file, tar } from '../archives.ts'
import { fileOf, manifestOf, packOf } from '../gateway/sources/sent-trees.ts'
import type { CrashPoint } from './crash-table.ts'

// A real gateway process, killed at each step of taking a tree.

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const post = (path: string, body: Buffer) =>
  fetch(`${world.gateway.url}/v1/apps/shop/${path}`, {
    method: 'POST',
    headers: authorization,
    body: new Uint8Array(body),
  })
const sendPack = async (pack: Buffer) => (await post('packs', pack)).status
const sendTree = async (manifest: object) =>
  (await (await post('trees', Buffer.from(JSON.stringify(manifest)))).json()) as { state: string }

const call = (path: string, body: object, headers: object = {}) =>
  world.gateway.call('POST', `/v1/apps/shop/${path}`, body, headers)

/** Kills the gateway at this point of an action, and waits for the next one. */
async function killedAt(point: CrashPoint, nth: number, act: () => Promise<unknown>) {
  const { gateway } = world
  const before = gateway.kills
  gateway.killAt(point, nth)
  await expect(act()).rejects.toThrow()
  await expect.poll(() => gateway.kills).toBe(before + 1)
  await gateway.up
}
/** Sends a finished upload. Returns its id. */
async function uploaded(app: string, bytes: Buffer): Promise<string> {
  const made = await fetch(`${world.gateway.url}/v1/uploads`, {
    method: 'POST',
    headers: {
      ...authorization,
      'Tus-Resumable': '1.0.0',
      'Upload-Length': String(bytes.length),
      'Upload-Metadata': `app ${Buffer.from(app).toString('base64')}`,
      'Content-Type': 'application/offset+octet-stream',
    },
    body: new Uint8Array(bytes),
  })
  return made.headers.get('location')!.split('/').at(-1)!
}
const isClean = () => expect.poll(() => fsck(world.data, { repair: false }).findings).toEqual([])
const spool = async () =>
  (await readdir(join(world.data, 'spool'))).filter((name) => name !== 'plans')

test.each<[CrashPoint, number]>([
  ['pack-synced', 1],
  ['pack-linking', 2],
])('%s: the pack is sent again, and its tree is taken', async (point, nth) => {
  const contents = ['one', 'two', 'three'].map((text) => `${text} of ${point}`)
  const manifest = manifestOf(contents.map((text, at) => fileOf(`file-${at}`, text)))
  await killedAt(point, nth, () => sendPack(packOf(...contents)))
  expect(await spool()).toEqual([])
  expect(await sendTree(manifest)).toMatchObject({ state: 'missing' })
  expect(await sendPack(packOf(...contents))).toBe(201)
  expect(await sendTree(manifest)).toMatchObject({ state: 'taken' })
  await isClean()
})

test.each<[CrashPoint, number]>([
  ['tree-linking', 2],
  ['body-whole', 1],
  ['tree-kept', 1],
])('%s: the list is sent again, and no file', async (point, nth) => {
  const contents = ['one', 'two', 'three'].map((text) => `${text} of ${point}`)
  const manifest = manifestOf(contents.map((text, at) => fileOf(`file-${at}`, text)))
  expect(await sendPack(packOf(...contents))).toBe(201)
  await killedAt(point, nth, () => sendTree(manifest))
  expect(await spool()).toEqual([])
  expect(await sendTree(manifest)).toMatchObject({ state: 'taken' })
  await isClean()
})

test('tree-joining: the tree stays whole, and the next gateway goes on with it', async () => {
  const names = ['a', 'b', 'c', 'd']
  const archive = tar(...names.map((name) => file(name, Buffer.from(`${name} of an archive`))))
  const { gateway, data } = world
  const before = gateway.kills
  gateway.killAt('tree-joining', 2)
  // Killed before or after the answer.
  await call('deployments', { source: { upload: await uploaded('shop', archive) } }).catch(() => {})
  const { digest } = manifestOf(names.map((name) => fileOf(name, `${name} of an archive`)))
  await expect.poll(() => gateway.kills).toBe(before + 1)
  await gateway.up

  const folder = join(data, 'trees', digest.slice('sha256:'.length))
  await expect.poll(() => readdir(folder)).toContain('joined')
  for (const name of names) {
    const path = join(folder, 'files', name)
    expect(await readFile(path, 'utf8')).toBe(`${name} of an archive`)
    expect((await stat(path)).nlink).toBe(2)
  }
  expect(await spool()).toEqual([])
  await isClean()
})

test('a tree that was taken without a deployment survives a kill, and is deployed', async () => {
  const manifest = manifestOf([fileOf('index.js', 'console.log(18)\n')])
  await sendPack(packOf('console.log(18)\n'))
  await sendTree(manifest)
  const before = world.gateway.kills
  world.gateway.kill()
  await expect.poll(() => world.gateway.kills).toBe(before + 1)
  await world.gateway.up

  const { status, body } = await call('deployments', { source: { tree: manifest.digest } })
  expect([status, (body as Deployment).source]).toEqual([
    202,
    { digest: manifest.digest, files: 1, sizeBytes: 16 },
  ])
})

const shop = manifestOf([fileOf('index.js', 'a shop'), fileOf('Dockerfile', 'FROM scratch')])
const sendShop = async () => {
  await sendPack(packOf('a shop', 'FROM scratch'))
  expect(await sendTree(shop)).toMatchObject({ state: 'taken' })
}

test('every door that takes a source takes a tree', async () => {
  await sendShop()
  const source = { tree: shop.digest }
  const secrets = { NPM_TOKEN: 'secret' }
  const key = { 'Idempotency-Key': 'once' }
  const made = await call('deployments', { source, secrets }, key)
  expect(made.status).toBe(202)
  expect((await call('deployments', { source, secrets }, key)).body).toMatchObject({
    id: (made.body as Deployment).id,
  })
  expect(
    (await call('deployments', { source, secrets: { NPM_TOKEN: 'other' } }, key)).body,
  ).toMatchObject({
    code: 'idempotency-mismatch',
  })

  const { gateway } = world
  const preview = await gateway.call('POST', '/v1/previews', {
    app: 'shop',
    owner: 'alice',
    source,
  })
  expect([preview.status, preview.body]).toEqual([202, expect.objectContaining({ app: 'shop' })])
  const targets = [{ app: 'shop' }, { app: 'shop', owner: 'bob' }]
  const rollout = await gateway.call('POST', '/v1/rollouts', { source, targets })
  expect([rollout.status, rollout.body]).toEqual([202, expect.objectContaining({ source: null })])
})

test('a tree of another app, and one that nobody has sent, do not exist', async () => {
  await sendShop()
  for (const [app, tree] of [
    ['blog', shop.digest],
    ['shop', `sha256:${'0'.repeat(64)}`],
  ] as const) {
    const source = { tree }
    const answer = await world.gateway.call('POST', `/v1/apps/${app}/deployments`, { source })
    expect([answer.status, answer.body]).toEqual([
      404,
      expect.objectContaining({ code: 'tree-not-found' }),
    ])
  }
  const asked = await world.gateway.call('POST', '/v1/apps/blog/trees', shop)
  expect(asked).toMatchObject({ status: 200, body: { state: 'missing', missingBytes: 18 } })
})

test('a pack may be a finished upload of the caller for the same app', async () => {
  const pack = packOf('resumed')
  const upload = await uploaded('shop', pack)
  expect(await call('packs', { upload })).toEqual({ status: 201, body: { files: 1, sizeBytes: 7 } })
  expect((await call('packs', { upload })).body).toMatchObject({ code: 'upload-not-found' })
  expect((await call('packs', { upload: await uploaded('blog', pack) })).body).toMatchObject({
    code: 'option-invalid',
  })
  expect(await sendTree(manifestOf([fileOf('a', 'resumed')]))).toMatchObject({ state: 'taken' })
})

test('bad calls have clear answers', async () => {
  const wrong = tar(file('0'.repeat(64), Buffer.from('one')))
  const refused = await post('packs', wrong)
  expect([refused.status, await refused.json()]).toEqual([
    422,
    expect.objectContaining({ code: 'pack-invalid', file: '0'.repeat(64) }),
  ])
  const asked = async (body: object, headers: object = {}) => {
    const { status, body: problem } = await call('trees', body, headers)
    return [status, (problem as { code: string }).code]
  }
  const base = `sha256:${'1'.repeat(64)}`
  expect(await asked({ digest: shop.digest, base, entries: [] })).toEqual([409, 'base-unknown'])
  expect(await asked({ ...shop, digest: base })).toEqual([422, 'tree-invalid'])
  expect(await asked({ entries: [] })).toEqual([400, 'request-invalid'])
  expect(await asked(shop, { 'Content-Encoding': 'br' })).toEqual([400, 'request-invalid'])
  expect(await asked(shop, { 'Content-Digest': 'sha-256=:AAAA:' })).toEqual([
    400,
    'digest-mismatch',
  ])
})
