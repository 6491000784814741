import { expect, test } from 'vitest'
import { imageParts, refuseUnusable } from '../../../gateway/src/registry/image-parts.ts'
import { imageBytes } from '../../../gateway/src/build/image-sizes.ts'
import { imageBuilder } from '../../../gateway/src/registry/image-index.ts'

const oci = 'application/vnd.oci.image'
const config = { mediaType: `${oci}.config.v1+json`, digest: 'sha256:c', size: 1 }
const layers = [{ mediaType: `${oci}.layer.v1.tar`, digest: 'sha256:l', size: 2 }]
const given = (value: unknown, mediaType = `${oci}.manifest.v1+json`) => ({
  digest: 'sha256:m',
  mediaType,
  bytes: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
})
const platform = (os: string, architecture: string, variant?: string) => ({
  digest: 'sha256:a',
  platform: { os, architecture, ...(variant && { variant }) },
})
const index = (manifests: unknown) => given({ manifests }, `${oci}.index.v1+json`)
const look = (manifest: ReturnType<typeof given>) =>
  refuseUnusable('r/web:1', manifest, 'linux/amd64')

test.each([
  [
    'of Docker',
    given(
      {
        config: { ...config, mediaType: 'application/vnd.docker.container.image.v1+json' },
        layers,
      },
      'application/vnd.docker.distribution.manifest.v2+json',
    ),
  ],
  ['of OCI', given({ config, layers, annotations: null })],
  ['for several platforms', index([platform('linux', 'arm64'), platform('linux', 'amd64')])],
  ['for a variant of the platform', index([platform('linux', 'amd64', 'v3')])],
  ['of an index without platforms', index([{ digest: 'sha256:a' }])],
])('an image %s is accepted', (_, manifest) => {
  look(manifest)
})

test.each([
  ['no layer', given({ config, layers: [] }), 'no files'],
  ['null for its layers, as BuildKit writes it', given({ config, layers: null }), 'no files'],
  ['neither config nor layers', given({}), 'no files'],
  ['no configuration', given({ layers }), 'no image configuration'],
  ['null for its configuration', given({ config: null, layers }), 'no image configuration'],
  [
    'the configuration of a chart',
    given({ config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' }, layers }),
    'another kind',
  ],
  [
    'a media type that nobody knows',
    given({ config, layers }, 'application/x-tape'),
    'not of a known kind',
  ],
  [
    'the old format of Docker',
    given({ fsLayers: [] }, 'application/vnd.docker.distribution.manifest.v1+prettyjws'),
    'not of a known kind',
  ],
  [
    'an index for other platforms',
    index([platform('linux', 'arm64'), platform('windows', 'amd64')]),
    'linux/arm64, windows/amd64',
  ],
  ['an index of nothing', index([]), 'no platform'],
  ['an index with null', index(null), 'no platform'],
  ['a list for a manifest', given([]), 'not of a known kind'],
  ['null for a manifest', given('null'), 'not of a known kind'],
  ['no JSON', given('<html>'), 'not of a known kind'],
  ['layers that are a text', given({ config, layers: 'all' }), 'not of a known kind'],
  ['deep nesting', given('['.repeat(1_000_000)), 'not of a known kind'],
])('an image with %s is refused as unusable, with the reason', (_, manifest, words) => {
  expect(() => look(manifest)).toThrow(
    expect.objectContaining({
      code: 'image-unusable',
      status: 422,
      message: expect.stringContaining(words),
    }),
  )
  expect(imageBytes(manifest)).toBeGreaterThanOrEqual(0)
  expect(imageBuilder(manifest)).toBeUndefined()
})

test('invalid sizes count as zero', () => {
  const odd = given(
    `{"config": null, "layers": [{"digest": "a", "size": 1e999}, {"digest": "b", "size": -5}, {"size": 7}]}`,
  )
  expect(imageBytes(odd)).toBe(7)
  expect(imageParts(odd)?.layers).toHaveLength(3)
})
