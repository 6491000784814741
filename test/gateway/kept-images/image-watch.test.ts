import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Problem } from '../../../api/problem.ts'
import { ImagesStatus } from '../../../api/status/images.ts'
import type { ReleaseImage } from '../../../gateway/src/deployments/release-store.ts'
import { checkImages, type KeptImage } from '../../../gateway/src/kept-images/check-images.ts'
import { ImageWatch } from '../../../gateway/src/kept-images/image-watch.ts'

const host = 'registry.fly.io'
const never = new AbortController().signal
const image = (app: string, digest: string, number: number, owner: string | null = null) =>
  ({ owner, number, reference: `${host}/${app}@${digest}`, digest }) satisfies ReleaseImage

/** What each app's releases need, and what the registry has. */
const kept: Record<string, ReleaseImage[]> = {
  web: [image('web', 'sha256:b', 2), image('web', 'sha256:a', 1)],
  shop: [
    image('web', 'sha256:a', 7, 'ann'),
    { owner: null, number: 1, reference: 'docker.io/x@sha256:q', digest: 'sha256:q' },
  ],
}
let there: Set<string>
let asked: string[]
let pushes: string[]
let apps: string[]
let answer: () => Promise<void>
let push: (image: KeptImage) => Promise<void>
const warn = vi.fn()
const error = vi.fn()
let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-image-check-'))
  there = new Set(['sha256:a', 'sha256:b'])
  ;[asked, pushes, apps] = [[], [], ['web', 'shop']]
  answer = async () => {}
  push = async ({ digest }) => void there.add(digest)
  vi.clearAllMocks()
})
afterEach(() => rm(dir, { recursive: true }))

const deps = () => ({
  releases: {
    apps: async () => Object.keys(kept),
    images: async (app: string) => kept[app] ?? [],
  },
  registry: {
    async has(app: string, digest: string) {
      asked.push(`${app} ${digest}`)
      await answer()
      return there.has(digest)
    },
  },
  registryHost: host,
  async pushAgain(lost: KeptImage) {
    pushes.push(lost.digest)
    await push(lost)
  },
  appExists: async (app: string) => apps.includes(app),
  pauseMs: 0,
})
const watch = () =>
  ImageWatch.start({
    ...deps(),
    file: join(dir, 'image-check.json'),
    log: { info: () => {}, warn, error },
    now: () => Date.parse('2026-11-30T05:00:00Z'),
  })

test('each image is asked for once, however many releases need it; images of others are not', async () => {
  expect(await checkImages(deps(), never)).toEqual({ checked: 2, restored: [], missing: [] })
  expect(asked).toEqual(['web sha256:b', 'web sha256:a'])
})

test('an image that is gone is pushed again, with all its releases named', async () => {
  there.delete('sha256:a')
  const { restored, missing } = await checkImages(deps(), never)
  expect(restored).toMatchObject([
    {
      digest: 'sha256:a',
      app: 'web',
      releases: [
        { app: 'web', owner: null, number: 1 },
        { app: 'shop', owner: 'ann', number: 7 },
      ],
    },
  ])
  expect([pushes, missing]).toEqual([['sha256:a'], []])
})

test('one wrong answer of the registry builds nothing', async () => {
  there.delete('sha256:a')
  answer = async () =>
    void (asked.filter((each) => each.endsWith(':a')).length === 2 && there.add('sha256:a'))
  expect(await checkImages(deps(), never)).toMatchObject({ restored: [], missing: [] })
  expect(pushes).toEqual([])
})

test('the images of an app that Fly no longer has are nobody’s', async () => {
  there.clear()
  apps = []
  expect(await checkImages(deps(), never)).toEqual({ checked: 2, restored: [], missing: [] })
  expect(pushes).toEqual([])
})

test('the repository of an app that another organisation has now does not end the check', async () => {
  const denied = new Problem('registry-denied', 'HEAD /web/manifests/sha256:b: 403')
  answer = () => Promise.reject(denied)
  apps = ['shop']
  expect(await checkImages(deps(), never)).toEqual({ checked: 2, restored: [], missing: [] })
  apps = ['web', 'shop']
  await expect(checkImages(deps(), never)).rejects.toBe(denied)
})

test('an image that cannot be made again is a warning in the log, the status and the app’s record', async () => {
  there.delete('sha256:a')
  push = () => Promise.reject(new Problem('image-gone', 'its source is no longer kept.'))
  await using watched = await watch()
  await watched.check()

  expect(ImagesStatus.parse(watched.status)).toEqual({
    checkedAt: '2026-11-30T05:00:00.000Z',
    running: false,
    checked: 2,
    problem: null,
    missing: [
      {
        reference: `${host}/web@sha256:a`,
        app: 'web',
        releases: [
          { app: 'web', owner: null, number: 1 },
          { app: 'shop', owner: 'ann', number: 7 },
        ],
        why: 'its source is no longer kept.',
        missingSince: '2026-11-30T05:00:00.000Z',
      },
    ],
  })
  expect(watched.warningsOf('shop')).toEqual([
    `The registry has lost the image of release 7 (${host}/web@sha256:a; found on 2026-11-30). It could not be pushed again: its source is no longer kept. A rollback to it fails, and so may a machine that starts on a new host. Deploy its source again.`,
  ])
  expect(watched.warningsOf('other')).toEqual([])
  expect(error).toHaveBeenCalledOnce()

  // A new gateway knows it, and a later check that finds the image ends the warning.
  await using another = await watch()
  expect(another.warningsOf('web')).toHaveLength(1)
  there.add('sha256:a')
  await another.check()
  expect(another.warningsOf('web')).toEqual([])
})

test.each([
  ['registry-unavailable', 'Registry registry.fly.io: 503. Try again later.'],
  ['registry-denied', 'The registry refused the login.'],
] as const)('a registry that answers %s raises no alarm about images', async (code, message) => {
  there.delete('sha256:a')
  push = () => Promise.reject(new Problem('image-gone', 'lost.'))
  await using watched = await watch()
  await watched.check()
  const before = watched.status
  answer = () => Promise.reject(new Problem(code, message))
  pushes = []
  await watched.check()
  expect(pushes).toEqual([])
  expect(watched.status).toEqual({ ...before, problem: message })
  expect(warn).toHaveBeenCalledOnce()
})

test('a registry that fails during a repair raises no alarm either', async () => {
  there.delete('sha256:a')
  push = () => Promise.reject(new Problem('registry-unavailable', 'It is away.'))
  await using watched = await watch()
  await watched.check()
  expect(watched.status).toMatchObject({ missing: [], problem: 'It is away.', checkedAt: null })
})

test('a check runs at a start only if the last one is older than a day', async () => {
  vi.useFakeTimers()
  try {
    const old = { checked: 0, running: false, missing: [], problem: null }
    const file = join(dir, 'image-check.json')
    const checksWithin = async (checkedAt: string, ms: number) => {
      await writeFile(file, JSON.stringify({ ...old, checkedAt }))
      await using watched = await watch()
      vi.advanceTimersByTime(ms)
      return watched.status.running
    }
    expect(await checksWithin('2026-11-29T04:00:00.000Z', 6 * 60_000)).toBe(true)
    expect(await checksWithin('2026-11-29T23:00:00.000Z', 6 * 60_000)).toBe(false)
    expect(await checksWithin('2026-11-29T23:00:00.000Z', 18.1 * 3_600_000)).toBe(true)
  } finally {
    vi.useRealTimers()
  }
})

test('a damaged file of the last check counts as no check', async () => {
  await writeFile(join(dir, 'image-check.json'), '{"checkedAt": 5')
  await using watched = await watch()
  expect(watched.status).toMatchObject({ checkedAt: null, missing: [] })
  await watched.check()
  expect(JSON.parse(await readFile(join(dir, 'image-check.json'), 'utf8'))).toEqual(watched.status)
})
