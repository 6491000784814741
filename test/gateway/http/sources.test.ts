import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SourceChanges } from '../../../api/sources/changes.ts'
import { Sources } from '../../../gateway/src/sources/sources.ts'
import { entry, file, link, tar } from '../../archives.ts'
import { logIn } from './dashboard/as-browser.ts'
import { authorization, startHttp } from './start-http.ts'

const image = (digest: string) => ({
  reference: `registry.test/shop@${digest}`,
  digest,
  tags: [],
})
const goesLive = (digest: string) =>
  [
    ['analyzing'],
    ['building'],
    ['pushing'],
    ['deploying', { image: image(digest) }],
    ['verifying'],
    ['live', { url: null, release: { desired: {}, secrets: null } }],
  ] satisfies Parameters<Awaited<ReturnType<typeof startHttp>>['play']>[0]

const first = tar(
  file('Dockerfile', 'FROM scratch\n'),
  file('same.txt', 'same'),
  file('src/old.ts', 'old'),
  file('src/page.ts', 'one'),
)
const second = tar(
  file('Dockerfile', 'FROM scratch\n'),
  file('same.txt', 'same'),
  file('src/page.ts', 'two, longer'),
  entry({ name: 'z/run.sh', body: '#!/bin/sh\n', mode: 0o755 }),
  link('z/way', '../same.txt'),
)

async function startWithSources() {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-source-files-'))
  const sources = await Sources.open({ dir })
  const server = await startHttp({ sources })
  return {
    ...server,
    sources,
    dir,
    async send(archive: Buffer, query = '', headers = {}): Promise<string> {
      const answer = await fetch(`${server.url}/v1/apps/shop/deployments?${query}`, {
        method: 'POST',
        headers: { ...authorization, 'Content-Type': 'application/x-tar', ...headers },
        body: new Uint8Array(archive),
      })
      const { id } = (await answer.json()) as { id: string }
      expect(answer.status).toBe(202)
      return id
    },
    async changes(id: string): Promise<SourceChanges> {
      const answer = await server.get(`/v1/deployments/${id}/changes`)
      return SourceChanges.parse(await answer.json())
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await sources[Symbol.asyncDispose]()
      await rm(dir, { recursive: true })
    },
  }
}

test('a source is compared with the one that was live before, file by file', async () => {
  await using server = await startWithSources()
  const one = await server.send(first)
  expect(await server.changes(one)).toMatchObject({
    since: null,
    added: { files: 4, sizeBytes: 23 },
    changed: { files: 0 },
  })
  await server.play(goesLive('sha256:aa'))

  const failed = await server.send(second)
  await server.play([['analyzing'], ['build_failed']])
  const two = await server.send(second)
  const changes = {
    since: { id: one, number: 1 },
    added: { files: 2, sizeBytes: 21 },
    changed: { files: 1, sizeBytes: 11 },
    removed: { files: 1, sizeBytes: 3 },
    files: [
      { path: 'src/old.ts', change: 'removed', beforeBytes: 3, afterBytes: null },
      { path: 'src/page.ts', change: 'changed', beforeBytes: 3, afterBytes: 11 },
      { path: 'z/run.sh', change: 'added', beforeBytes: null, afterBytes: 10 },
      { path: 'z/way', change: 'added', beforeBytes: null, afterBytes: 11 },
    ],
  }
  for (const id of [failed, two]) expect(await server.changes(id)).toEqual(changes)
  await server.play(goesLive('sha256:bb'))
  // What went live later does not change what was live before.
  for (const id of [failed, two]) expect(await server.changes(id)).toEqual(changes)

  const page = await (await server.get(`/ui/deployments/${two}`)).text()
  expect(page).toContain('2 added (21 B), 1 changed (11 B), 1 removed (3 B)')
  const list = await (await server.get(`/ui/deployments/${two}/files`)).text()
  expect(list).toContain('src/old.ts')

  const again = await server.send(second)
  expect(await server.changes(again)).toMatchObject({ since: { id: two }, files: [] })
  const text = await (await server.get(`/ui/deployments/${again}`)).text()
  expect(text).toMatch(/none\s+since/)
})

test('a source comes back as it was sent, for whoever may deploy', async () => {
  await using server = await startWithSources()
  const id = await server.send(second)
  const path = `/v1/deployments/${id}/source`
  const plain = await server.get(path, { 'Accept-Encoding': 'identity' })
  expect(plain.headers.get('content-disposition')).toBe('attachment; filename="shop-1-source.tar"')
  const bytes = Buffer.from(await plain.arrayBuffer())
  expect(plain.headers.get('content-length')).toBe(String(bytes.length))
  const into = mkdtempSync(join(tmpdir(), 'tarmac-unpacked-'))
  execFileSync('tar', ['x', '-C', into], { input: bytes })
  expect(readFileSync(join(into, 'src/page.ts'), 'utf8')).toBe('two, longer')
  expect(readFileSync(join(into, 'z/way'), 'utf8')).toBe('same')
  expect(statSync(join(into, 'z/run.sh')).mode & 0o111).not.toBe(0)
  const packed = await server.get(path)
  expect(packed.headers.get('content-encoding')).toBe('gzip')
  expect(bytes.equals(Buffer.from(await packed.arrayBuffer()))).toBe(true)
  // It is the same source again.
  const digest = async (each: string) => (await server.store.find(each))?.source?.digest
  expect(await digest(await server.send(bytes))).toBe(await digest(id))

  const made = await fetch(`${server.url}/v1/tokens`, {
    method: 'POST',
    headers: authorization,
    body: JSON.stringify({ name: 'reader', scopes: ['read'] }),
  })
  const { token } = (await made.json()) as { token: string }
  const reader = { Authorization: `Bearer ${token}` }
  expect((await server.get(path, reader)).status).toBe(403)
  expect((await server.get(`/v1/deployments/${id}/changes`, reader)).status).toBe(200)
  expect(await (await server.get(`/ui/deployments/${id}`, reader)).text()).toContain(
    '<button disabled>Download the source</button>',
  )

  const cookie = await logIn(server)
  const browser = await fetch(server.url + path, { headers: { cookie } })
  expect([browser.status, (await browser.arrayBuffer()).byteLength]).toEqual([200, bytes.length])
  const audit = await (await server.get('/v1/audit?command=sourceFiles.archive')).json()
  expect(audit).toMatchObject({ entries: [{ result: 'ok' }, {}, {}, {}] })
})

test('a file that is not as it was sent breaks the download', async () => {
  await using server = await startWithSources()
  const spoiled = async (archive: Buffer) => {
    const id = await server.send(archive)
    const { digest = '' } = (await server.store.find(id))?.source ?? {}
    writeFileSync(join((await server.sources.tree(digest)).root, 'same.txt'), 'else')
    return server.get(`/v1/deployments/${id}/source`)
  }
  const large = tar(file('first', Buffer.alloc(3e6, 'a')), file('same.txt', 'same'))
  await expect(spoiled(large).then((answer) => answer.arrayBuffer())).rejects.toThrow()
  // Nothing of a small one was sent yet.
  const refused = await spoiled(second)
  expect([refused.status, await refused.json()]).toMatchObject([503, { code: 'source-changed' }])
})

test('a source that is gone, and an image without one, say so', async () => {
  await using server = await startWithSources()
  const id = await server.send(second)
  await server.sources.sweep(new Set())
  // It was used a moment ago, so only a gateway that starts again removes it.
  expect((await server.get(`/v1/deployments/${id}/source`)).status).toBe(200)
  const { digest = '' } = (await server.store.find(id))?.source ?? {}
  await rm(join((await server.sources.tree(digest)).root, '..'), { recursive: true })
  const gone = await server.get(`/v1/deployments/${id}/source`)
  expect([gone.status, await gone.json()]).toMatchObject([410, { code: 'source-gone' }])
  const page = await server.get(`/ui/deployments/${id}`)
  expect([page.status, await page.text()]).toMatchObject([
    200,
    expect.stringContaining('is no longer kept'),
  ])

  const options = (await server.store.find(id))!.options
  const ofImage = { id: 'of-image', app: 'shop', options, source: null, image: image('sha256:cc') }
  await server.store.create(ofImage)
  const none = await server.get('/v1/deployments/of-image/source')
  expect([none.status, await none.json()]).toMatchObject([409, { code: 'no-source' }])
})

test('the record says where a request came from, and in which run of a CI system', async () => {
  await using server = await startWithSources()
  const run = 'https://github.com/acme/shop/actions/runs/7'
  const id = await server.send(first, `ci-run=${encodeURIComponent(run)}&trigger=ci`)
  expect(await server.store.find(id)).toMatchObject({
    callerAddress: '127.0.0.1',
    options: { 'ci-run': run },
  })
  const page = await (await server.get(`/ui/deployments/${id}`)).text()
  expect(page).toContain(`<a href="${run}">github.com/acme/shop/actions/runs/7</a>`)
  expect(page).toContain('<dd>127.0.0.1</dd>')

  for (const wrong of [
    'javascript:alert(1)',
    'data:text/html,a',
    '//host/a',
    'https://u:p@host/a',
  ]) {
    const answer = await fetch(
      `${server.url}/v1/apps/shop/deployments?ci-run=${encodeURIComponent(wrong)}`,
      { method: 'POST', headers: authorization, body: 'bytes' },
    )
    expect([answer.status, await answer.json()]).toMatchObject([422, { option: 'ci-run' }])
  }
})
