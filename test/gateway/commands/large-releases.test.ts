import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import { releaseDiff, releaseView } from '../../../gateway/src/commands/releases.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const names = Array.from({ length: 44 }, (_, i) => `g${i}`)
const flyToml = [
  '[processes]',
  ...names.map((name) => `${name} = "a"`),
  '[[files]]\nguest_path = "/a"\nlocal_path = "big"',
].join('\n')

// A text that repeats is stored once, but each group shows it. This release has 155 kB in the
// records and 6 MB in the answer. A page limits the bytes that it shows.
test('a page of releases that hold one file for each of 44 groups is not a hundred times as large as what is stored', async () => {
  await using store = openSqliteStore(':memory:')
  const readFile = () => Buffer.alloc(100_000, 'x')
  const options = DeploymentOptions.parse({})
  const desired = desiredApp({
    flyToml,
    app: 'shop',
    options,
    defaults: { region: 'ams' },
    readFile,
  })
  const groups = desired.groups.map((group) => Object.assign({ lastApplied: group.config }, group))
  const image = { reference: 'r/shop@sha256:aa', digest: 'sha256:aa', tags: [] }
  for (let i = 0; i < 20; i++) {
    await store.create({ id: `d${i}`, app: 'shop', options, source: null, image })
    const { deployment, epoch } = (await store.claim())!
    const holder = { id: deployment.id, epoch }
    await store.advance(holder, 'deploying', 'verifying')
    const release = { desired: { ...desired, groups }, secrets: null }
    expect(await store.advance(holder, 'verifying', 'live', { release })).toBe(true)
  }
  const { releases } = await store.releases.list('shop', null, { limit: 100, before: null })
  const answer = visibleJson({ releases: releases.map(releaseView) })
  expect(answer.length).toBeLessThan(8 * 2 ** 20)

  const changed = {
    readFile: () => Buffer.alloc(100_000, 'y'),
    flyToml,
    app: 'shop',
    options,
    defaults: { region: 'ams' },
  }
  const [before, after] = [
    releaseView(releases[0]!),
    releaseView({ ...releases[0]!, desired: desiredApp(changed) }),
  ]
  const diff = releaseDiff(before, after)
  expect(diff.differences.filter(({ path }) => path.includes('.files.'))).toHaveLength(names.length)
  expect(visibleJson(diff).length).toBeLessThan(16 * 2 ** 20)
}, 60_000)
