import { expect, test } from 'vitest'
import { imageBytes, newBytes } from '../../../gateway/src/build/image-sizes.ts'
import type { Manifest } from '../../../gateway/src/registry/manifest.ts'

const manifest = (parts: object): Manifest => ({
  digest: '',
  mediaType: '',
  bytes: Buffer.from(JSON.stringify(parts)),
})
const layers = (sizes: Record<string, number>) =>
  manifest({ layers: Object.entries(sizes).map(([digest, size]) => ({ digest, size })) })
const kept: Record<string, Manifest> = {
  one: layers({ base: 119, app: 11 }),
  two: layers({ arm: 100 }),
  index: manifest({ manifests: [{ digest: 'one' }, { digest: 'two' }] }),
}
const manifestOf = (digest: string) => Promise.resolve(kept[digest] ?? null)

test.each([
  ['the app has no image yet', null, 131],
  ['its image is gone', 'gone', 131],
  ['one layer changed', 'one', 12],
  ['its image is for several platforms', 'index', 12],
])('counts the new bytes of an image where %s', async (_, before, bytes) => {
  expect(await newBytes([layers({ base: 119, changed: 12 })], before, manifestOf)).toBe(bytes)
})

test('an index that names itself, or many others, is read at most 32 times', async () => {
  let asked = 0
  const endless = (digest: string) => {
    asked += 1
    const manifests = Array.from({ length: 5 }, (_, n) => ({ digest: `${digest}.${n}` }))
    return Promise.resolve(manifest({ manifests: [{ digest }, ...manifests] }))
  }
  expect(await newBytes([layers({ base: 119 }), manifest({ layers: null })], 'loop', endless)).toBe(
    119,
  )
  expect(asked).toBeLessThanOrEqual(32)
})

test('the size of an image is the sum of its layers and its configuration', () => {
  const bytes = Buffer.from(
    JSON.stringify({ config: { size: 3 }, layers: [{ size: 40 }, { size: 200 }] }),
  )
  expect(imageBytes({ bytes })).toBe(243)
})
