import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { buildSummary } from '../../../gateway/src/pipeline/build-summary.ts'
import { Registry } from '../../../gateway/src/registry/registry.ts'

const layer = (digest: string, size: number) => ({ digest, size })
const manifests: Record<string, object> = {
  old: { layers: [layer('base', 119e6), layer('app', 11e6)] },
  new: { layers: [layer('base', 119e6), layer('changed', 12e6)] },
  index: { manifests: [{ digest: 'new' }, { digest: 'other' }] },
}

test('a build is told in one line, with what is new against the image before it', async () => {
  const server = createServer(({ url }, response) => {
    const found = manifests[url!.split('/').at(-1)!]
    response.writeHead(found ? 200 : 404).end(JSON.stringify(found ?? {}))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  await using registry = new Registry({ host, login: null, insecure: true })
  const built = { app: 'web', steps: 14, cached: 11, ms: 8420 }
  const summary = (digest: string, previous: string | null) =>
    buildSummary({ ...built, digest }, previous, registry, AbortSignal.timeout(5000))
  const steps = '14 steps, 11 cached, 3 run, 8.4 s'
  expect(await summary('new', 'old')).toBe(`${steps}; image 131 MB, 12 MB new`)
  expect(await summary('index', 'old')).toBe(`${steps}; image 131 MB, 12 MB new`)
  expect(await summary('new', 'gone')).toBe(`${steps}; image 131 MB, 131 MB new`)
  expect(await summary('new', 'new')).toBe(`${steps}; image 131 MB, 0 MB new`)
  expect(await summary('gone', null)).toBe(steps)
  server.close()
})
