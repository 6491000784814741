import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isNewEnough } from '../gateway/src/versions/compare.ts'
import { programs } from '../gateway/src/versions/minimums.ts'
import { imagesOf } from '#api/image/pins.ts'
import { bakedTools, images, npmTarballs } from '../lab/pins.ts'
import { version as standIn } from '../lab/planner/plan-app.ts'

// Versions are in few places. docs/upgrade-pins.md lists them.

const read = (file: string) => readFileSync(join(import.meta.dirname, '..', file), 'utf8')
const dockerfile = read('gateway/Dockerfile')
const tagOf = (repository: string) =>
  imagesOf(dockerfile)
    .map(({ image }) => image)
    .find((image) => image.startsWith(`${repository}:`))!
    .slice(repository.length + 1)

test('the lab builds the BuildKit that the appliance has', () => {
  const [, version] = /github\.com\/moby\/buildkit (v\S+)/.exec(read('lab/tools/go.mod'))!
  expect(tagOf('moby/buildkit')).toBe(version)
})

test('the stand-in planner has the version of the appliance’s railpack', () => {
  expect(`v${standIn}`).toBe(`${tagOf('ghcr.io/railwayapp/railpack-frontend')}-standin`)
})

test('mise has one version, in the appliance, in the lab’s images and from npm', () => {
  const tag = tagOf('ghcr.io/railwayapp/railpack-builder')
  expect(tag).toBe(`mise-${bakedTools.mise}`)
  expect(npmTarballs.mise.spec.endsWith(`@${bakedTools.mise}`)).toBe(true)
  const named = [...dockerfile.matchAll(/\bmise-(\d[\d.]*\d)/g)].map(([, version]) => version)
  expect(new Set(named)).toEqual(new Set([bakedTools.mise]))
  const tags = images.flatMap(({ names }) => names).filter((name) => name.includes('mise-'))
  expect(tags.filter((name) => !name.endsWith(`:${tag}`))).toEqual([])
})

test('Node of the tests has the major version of the appliance’s', () => {
  const { devDependencies } = JSON.parse(read('package.json'))
  const [, major] = /(\d+)\./.exec(devDependencies.node)!
  expect(tagOf('node')).toMatch(new RegExp(`^${major}\\b`))
})

test('what the Dockerfile names is not older than its minimum', () => {
  const tags = {
    buildkitd: tagOf('moby/buildkit'),
    railpack: tagOf('ghcr.io/railwayapp/railpack-frontend'),
    node: `${parseInt(tagOf('node'), 10)}.0.0`,
  }
  for (const [name, tag] of Object.entries(tags))
    expect(isNewEnough(tag, programs[name]!), `${name} ${tag}`).toBe(true)
})
