import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { portOf } from '../../../gateway/src/host/port-of.ts'
import { readLayers } from '../../../gateway/src/registry/image-layers.ts'
import { Registry } from '../../../gateway/src/registry/registry.ts'

const signal = AbortSignal.timeout(30_000)
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'

/** A registry that holds what a test puts into its repository `web`. */
async function start() {
  const held = new Map<string, { type: string; body: string }>()
  const server = createServer((request, response) => {
    const found = held.get(request.url ?? '')
    response.writeHead(found ? 200 : 404, { 'content-type': found?.type ?? 'text/plain' })
    response.end(found?.body)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const registry = new Registry({
    host: `127.0.0.1:${portOf(server)}`,
    login: null,
    insecure: true,
  })
  const put = (kind: 'manifests' | 'blobs', type: string, value: object) => {
    const body = JSON.stringify(value)
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    held.set(`/v2/web/${kind}/${digest}`, { type, body })
    return { digest, size: body.length }
  }
  return {
    put,
    image(history: object[], sizes: number[], more: object = {}) {
      const config = { ...put('blobs', 'application/octet-stream', { history }), ...more }
      const layers = sizes.map((size, at) => ({ digest: `sha256:${at}`, size }))
      return put('manifests', manifestType, { config, layers })
    },
    read: (digest: string) => readLayers(registry, { repository: 'web', digest }, signal),
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]()
      server.close()
    },
  }
}

test('each layer has its size and the instruction that made it', async () => {
  await using lab = await start()
  const { digest } = lab.image(
    [
      { created_by: '/bin/sh -c #(nop) ADD file:abc in / ' },
      { created_by: 'ENV A=b', empty_layer: true },
      { created_by: 'RUN /bin/sh -c make all # buildkit' },
      {},
    ],
    [30, 20, 10],
  )
  expect(await lab.read(digest)).toEqual([
    { digest: 'sha256:0', sizeBytes: 30, madeBy: 'ADD file:abc in / ' },
    { digest: 'sha256:1', sizeBytes: 20, madeBy: 'RUN make all' },
    { digest: 'sha256:2', sizeBytes: 10, madeBy: null },
  ])
})

test('an image that says too little, too much or nothing keeps its sizes', async () => {
  await using lab = await start()
  const names = async (...image: Parameters<typeof lab.image>) =>
    (await lab.read(lab.image(...image).digest))!.map(({ madeBy }) => madeBy)
  expect(await names([{ created_by: 'RUN one' }], [1, 2])).toEqual([null, null])
  expect(await names([], [1])).toEqual([null])
  expect(await names([{ created_by: 7 }], [1])).toEqual([null])
  expect(await names([{ created_by: 'RUN a' }], [1], { size: 2 ** 21 })).toEqual([null])
  expect(await names([{ created_by: 'RUN a' }], [1], { digest: 'sha256:gone' })).toEqual([null])
  expect(await names([{ created_by: 'x'.repeat(5000) }], [1])).toEqual(['x'.repeat(300)])
})

test('of an index the first image counts, and not its attestation; what is gone is null', async () => {
  await using lab = await start()
  const image = lab.image([{ created_by: 'RUN one' }], [5])
  const attestation = lab.image([], [99])
  const { digest } = lab.put('manifests', indexType, {
    manifests: [
      { ...attestation, platform: { os: 'unknown', architecture: 'unknown' } },
      { ...image, platform: { os: 'linux', architecture: 'amd64' } },
    ],
  })
  expect(await lab.read(digest)).toEqual([{ digest: 'sha256:0', sizeBytes: 5, madeBy: 'RUN one' }])
  expect(await lab.read(`sha256:${'0'.repeat(64)}`)).toBeNull()
})
