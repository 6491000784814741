import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { SecretStore } from '../../../gateway/src/deployments/secret-store.ts'
import { sizeLimits } from '../../../gateway/src/deployments/size-limits.ts'
import type { DeploymentPatch, DeploymentStore } from '../../../gateway/src/deployments/store.ts'

type Store = DeploymentStore & SecretStore
type Opened = { store: Store; storedBytes: () => number }
type Write = (store: Store, big: string) => Promise<unknown>

const options = DeploymentOptions.parse({})
const source = { digest: 'sha256:aa', files: 1, sizeBytes: 2 }
const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
const never = new AbortController().signal
/** More than the largest limit. */
const big = 'x'.repeat(17 * 2 ** 20)
const problem = (text: string) => ({
  ...new Problem('build-failed', text, { facts: { said: [text] } }).body(),
})

/** Makes the deployment `d1` run in this state. */
async function atWork(store: Store, to: 'fetching' | 'verifying' = 'fetching') {
  await store.create({
    id: 'd1',
    app: 'shop',
    options,
    source,
    ...(to === 'verifying' && { image }),
  })
  const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
  if (to === 'verifying') await store.advance(holder, 'deploying', 'verifying')
  return holder
}
const advanceTo = (
  state: 'live' | 'deploy_failed',
  patch: (big: string) => DeploymentPatch,
): Write => {
  return async (store, text) =>
    store.advance(await atWork(store, 'verifying'), 'verifying', state, patch(text))
}
const amended =
  (patch: (big: string) => DeploymentPatch): Write =>
  async (store, text) =>
    store.amend(await atWork(store), patch(text))
const created =
  (fresh: (big: string) => object): Write =>
  (store, text) =>
    store.create({ id: 'd1', app: 'shop', options, source, ...fresh(text) })
const emitted =
  (event: (big: string) => object): Write =>
  async (store, text) =>
    store.append(await atWork(store), [event(text) as never])

const targets = [{ app: 'shop', options, deployment: 'd9' }]
const rollout = {
  id: 'r1',
  source: null,
  build: null,
  triggeredBy: null,
  parallel: 1,
  maxFailures: 1,
  targets,
}
const request = { requestBody: 1, idempotencyKey: null }
const rolledOut =
  (work: (store: Store, big: string) => Promise<unknown>): Write =>
  async (store, text) => {
    await store.rollouts.create(rollout, request)
    return work(store, text)
  }
const crash = { machine: 'm', at: '', lastAt: '', why: '', endedAt: null, ending: null }
const crashed =
  (part: (big: string) => object): Write =>
  async (store, text) => {
    await advanceTo('live', () => ({ release: { desired: {}, secrets: null } }))(store, '')
    const [release] = await store.releases.newestFacts('shop')
    return store.releases.noteCrashes(
      release!,
      [{ ...crash, ...part(text) }],
      [{ type: 'release', release: 1, state: 'degraded', machine: 'm', text }],
    )
  }
const plan = {
  builder: 'railpack',
  reason: '',
  planner: '',
  provider: null,
  versions: {},
  startCommand: null,
} as const
const machine: Deployment['machines'][number] = {
  id: 'm1',
  name: 'web',
  region: 'fra',
  before: null,
  tried: null,
  after: null,
  outcome: 'touched',
}

/** By interface and method: every place that accepts text. */
const writers: Record<string, Record<string, Write>> = {
  'DeploymentStore.create': {
    id: created((id) => ({ id })),
    app: created((app) => ({ app })),
    owner: created((owner) => ({ options: { ...options, owner } })),
    env: created((A) => ({ options: { ...options, env: { A } } })),
    message: created((message) => ({ options: { ...options, message } })),
    source: created((digest) => ({ source: { ...source, digest } })),
    image: created((digest) => ({ image: { ...image, digest } })),
    from: created((app) => ({ from: { app, owner: null, release: 1 } })),
    key: created((idempotencyKey) => ({ idempotencyKey })),
    requestBody: created((requestBody) => ({ requestBody, idempotencyKey: 'k' })),
    secret: created((text) => ({
      secrets: [{ name: 'A', keyId: 'k', sealed: Buffer.from(text) }],
    })),
    'secret name': created((name) => ({
      secrets: [{ name, keyId: 'k', sealed: Buffer.from('s') }],
    })),
  },
  'DeploymentStore.advance': {
    reason: async (store, reason) =>
      store.advance(await atWork(store), 'fetching', 'pending', { reason }),
    problem: advanceTo('deploy_failed', (text) => ({ problem: problem(text) })),
    url: advanceTo('live', (url) => ({ url })),
    release: advanceTo('live', (text) => ({
      release: { desired: { groups: [text] }, secrets: null },
    })),
    'names of secrets': advanceTo('live', (name) => ({
      release: { desired: {}, secrets: [{ name, digest: '' }] },
    })),
  },
  'DeploymentStore.amend': {
    plan: amended((startCommand) => ({ plan: { ...plan, startCommand } })),
    versions: amended((node) => ({ plan: { ...plan, versions: { node } } })),
    image: amended((text) => ({ image: { ...image, tags: [text] } })),
    bases: amended((alpine) => ({ bases: { alpine } })),
    machines: amended((name) => ({ machines: [{ ...machine, name }] })),
    rollout: amended((text) => ({ rollout: { steps: [{ config: { files: [text] } }] } })),
    'build key': amended((key) => ({ build: { key, validUntil: key } })),
  },
  'DeploymentStore.append': {
    log: emitted((text) => ({ type: 'log', step: null, stream: 'stdout', text })),
    'step of a log': emitted((step) => ({ type: 'log', step, stream: 'stdout', text: '' })),
    note: emitted((text) => ({ type: 'note', text })),
    step: emitted((name) => ({ type: 'step', step: 'a', name, status: 'failed', error: name })),
    plan: emitted((text) => ({
      type: 'plan',
      ...plan,
      versions: { node: text },
      startCommand: text,
    })),
    machine: emitted((text) => ({
      type: 'machine',
      machine: text,
      region: 'fra',
      status: 'failed',
      text,
    })),
    state: emitted((text) => ({
      type: 'state',
      from: null,
      state: 'pending',
      reason: text,
      problem: problem(text),
    })),
  },
  'DeploymentStore.requestCancel': {
    pending: async (store, text) => {
      await store.create({ id: 'd1', app: 'shop', options, source })
      return store.requestCancel('d1', { by: text, why: text, abort: false })
    },
    'at work': async (store, text) => {
      await atWork(store)
      return store.requestCancel('d1', { by: text, why: text, abort: false })
    },
  },
  'DeploymentStore.recover': {
    reason: async (store, reason) => {
      await atWork(store, 'verifying')
      return store.recover(reason)
    },
  },
  'DeploymentStore.startLife': {
    boot: (store, boot) => store.startLife({ boot, maxDeaths: 3 }, ''),
    reason: async (store, reason) => {
      await atWork(store, 'verifying')
      return store.startLife({ boot: '', maxDeaths: 3 }, reason)
    },
  },
  'DeploymentStore.giveUp': {
    problem: async (store, text) => {
      await atWork(store)
      return store.giveUp('d1', problem(text))
    },
  },
  'DeploymentStore.changeAppSettings': {
    app: (store, app) => store.changeAppSettings(app, { builds: 2 }),
    env: (store, A) => store.changeAppSettings('shop', { env: { A } }),
    'many small ones, one after the other': async (store, text) => {
      for (let at = 0; at < 200; at++)
        await store.changeAppSettings('shop', { env: { [`A${at}`]: text.slice(0, 100_000) } })
    },
  },
  'ReleaseStore.recordCreatedApp': {
    app: (store, app) => store.releases.recordCreatedApp(app, null),
    id: (store, flyId) => store.releases.recordCreatedApp('shop', flyId),
  },
  'ReleaseStore.noteCrashes': {
    machine: crashed((machine) => ({ machine })),
    why: crashed((why) => ({ why })),
  },
  'RolloutStore.create': {
    id: (store, id) => store.rollouts.create({ ...rollout, id }, request),
    targets: (store, app) =>
      store.rollouts.create({ ...rollout, targets: [{ ...targets[0]!, app }] }, request),
    key: (store, idempotencyKey) =>
      store.rollouts.create(rollout, { requestBody: 1, idempotencyKey }),
    source: (store, text) =>
      store.rollouts.create({ ...rollout, source: { image: text } }, request),
  },
  'RolloutStore.refuse': {
    problem: rolledOut((store, text) => store.rollouts.refuse('r1', 'd9', problem(text))),
  },
  'RolloutStore.stop': {
    problem: rolledOut((store, text) => store.rollouts.stop('r1', problem(text))),
  },
  'RuntimeSecretStore.note': {
    app: (store, app) => store.runtimeSecrets.note(app, mark({})),
    id: (store, flyId) => store.runtimeSecrets.note('shop', mark({ flyId })),
    name: (store, name) => store.runtimeSecrets.note('shop', mark({ own: { [name]: null } })),
    'many small ones, one after the other': async (store, text) => {
      for (let at = 0; at < 200; at++)
        await store.runtimeSecrets.note('shop', mark({ own: { [`A${at}`]: text.slice(0, 1e5) } }))
    },
  },
  'RuntimeSecretStore.reset': {
    digest: (store, digest) => store.runtimeSecrets.reset('shop', mark({ own: { A: digest } })),
  },
  'SecretStore.changeSecrets': {
    value: (store, text) =>
      store.changeSecrets('app:shop', [{ name: 'A', keyId: 'k', sealed: Buffer.from(text) }], []),
    name: (store, name) =>
      store.changeSecrets('app:shop', [{ name, keyId: 'k', sealed: Buffer.from('s') }], []),
  },
  'SecretStore.putSecret': {
    value: (store, text) =>
      store.putSecret('app:shop', { name: 'A', keyId: 'k', sealed: Buffer.from(text) }),
    name: (store, name) =>
      store.putSecret('app:shop', { name, keyId: 'k', sealed: Buffer.from('s') }),
    key: (store, keyId) =>
      store.putSecret('app:shop', { name: 'A', keyId, sealed: Buffer.from('s') }),
    owner: (store, app) =>
      store.putSecret(`app:${app}`, { name: 'A', keyId: 'k', sealed: Buffer.from('s') }),
  },
}

const mark = (more: object) => ({ flyId: null, version: 1, own: {}, ...more })

/** Methods that store no text. A method belongs here only when that is true. */
const storesNoText = Object.entries({
  DeploymentStore:
    'findByIdempotencyKey unfinished countUnfinished refuseBusyLane find list imageOf onQueueChange claim expireQueued publishQueuePositions renew eventsAfter changed sourcesInUse appSettings dropLogs endLife hasSuspects',
  ReleaseStore: 'find list newest newestFacts newestOn apps flyApps images isOwnApp forget',
  RolloutStore: 'findByIdempotencyKey find list unfinished begin made end',
  RuntimeSecretStore: 'find',
  SecretStore: 'removeSecret secretsOf',
}).flatMap(([store, methods]) => methods.split(' ').map((method) => `${store}.${method}`))

/** Every method of the store's interfaces, read from their files. */
function methodsOfStore(): string[] {
  const folder = join(import.meta.dirname, '../../../gateway/src/deployments')
  const files = ['store', 'release-store', 'rollout-store', 'secret-store']
  return [...files, 'runtime/runtime-secret-store'].flatMap((file) => {
    const text = readFileSync(join(folder, `${file}.ts`), 'utf8')
    const [, name, body] = /^export interface (\w+)(?: extends \w+)? \{\n([^]*?)^\}/m.exec(text)!
    return [...body!.matchAll(/^ {2}(\w+)\(/gm)].map(([, method]) => `${name}.${method}`)
  })
}

/** The size limits that every store keeps. `storedBytes`: the size of all its tables. */
export function storeSizeContract(open: () => Opened): void {
  test('every store method that writes text is in this list, and its limits are tested below', () => {
    expect([...Object.keys(writers), ...storesNoText].toSorted()).toEqual(
      methodsOfStore().toSorted(),
    )
  })

  describe.each(Object.entries(writers))('%s', (_, places) => {
    test.each(Object.entries(places))(
      'keeps no text of 17 MiB: %s',
      { timeout: 30_000 },
      async (_place, write) => {
        const { store, storedBytes } = open()
        await using _store = store
        const problem = await write(store, big).then(
          () => null,
          (error: unknown) => error,
        )
        if (problem !== null)
          expect(problem).toMatchObject({
            code: expect.stringMatching(/^(record-too-large|option-invalid)$/),
            status: 422,
          })
        expect(storedBytes()).toBeLessThan(4 * 2 ** 20)
      },
    )
  })

  test(
    'a deployment ends whatever its problem says; it keeps the beginning of the detail and the facts that fit',
    { timeout: 30_000 },
    async () => {
      const { store } = open()
      await using _store = store
      const holder = await atWork(store)
      const facts = { step: 'RUN make', exitCode: 2, output: big, lastLines: ['error: no rule'] }
      const body = new Problem('build-failed', `make failed. ${big}`, { facts }).body()
      expect(await store.advance(holder, 'fetching', 'build_failed', { problem: body })).toBe(true)

      const { problem: kept } = (await store.find('d1'))!
      expect(kept).toMatchObject({
        code: 'build-failed',
        step: 'RUN make',
        exitCode: 2,
        lastLines: ['error: no rule'],
      })
      expect(kept).not.toHaveProperty('output')
      expect(kept!.detail).toMatch(/^make failed\. x+… \(\d+ more characters are left out\)$/)
      expect(kept!.detail.length).toBeLessThan(sizeLimits.textChars + 100)
    },
  )

  test(
    'a rollout and a release store their files once, however many groups and machines repeat them',
    { timeout: 30_000 },
    async () => {
      const { store, storedBytes } = open()
      await using _store = store
      const file = 'f'.repeat(2 ** 20)
      const config = () => ({
        env: { A: 'b' },
        files: [{ guest_path: '/f', raw_value: file.slice() }],
      })
      const groups = Array.from({ length: 20 }, (_g, at) => ({
        name: `g${at}`,
        config: config(),
        lastApplied: config(),
      }))
      const steps = groups.map(({ name }) => ({
        group: name,
        previous: { config: config() },
        note: { __proto__x: name },
      }))
      const holder = await atWork(store, 'verifying')
      const kept = { desired: { groups }, steps, appliedConfig: { g0: config() } }
      await store.amend(holder, { rollout: kept })
      expect(storedBytes()).toBeLessThan(1.2 * 2 ** 20)
      const [claim] = await store.recover('The gateway was killed')
      expect(claim!.rollout).toEqual(kept)

      const again = { id: 'd1', epoch: claim!.epoch }
      await store.advance(again, 'verifying', 'live', {
        release: { desired: { groups }, secrets: null },
      })
      expect((await store.releases.find('shop', null))!.desired).toEqual({ groups })
      expect(
        (await store.releases.list('shop', null, { limit: 9, before: null })).releases[0]!.desired,
      ).toEqual({
        groups,
      })
      expect(storedBytes(), 'the notes of the engine go at the end').toBeLessThan(1.2 * 2 ** 20)
    },
  )

  test(
    'a page of large records is shorter, and the next pages follow',
    { timeout: 30_000 },
    async () => {
      const { store } = open()
      await using _store = store
      const desired = { text: 'x'.repeat(15 * 2 ** 20) }
      for (const id of ['d1', 'd2', 'd3']) {
        await store.create({
          id,
          app: 'shop',
          options: { ...options, lane: 'fifo' },
          source,
          image,
        })
        const holder = { id, epoch: (await store.claim())!.epoch }
        await store.advance(holder, 'deploying', 'verifying')
        await store.advance(holder, 'verifying', 'live', { release: { desired, secrets: null } })
      }
      const numbers: number[][] = []
      for (let before: string | null = null; ;) {
        const { releases, next } = await store.releases.list('shop', null, { limit: 100, before })
        numbers.push(releases.map(({ number }) => number))
        if (next === null) break
        before = next
      }
      expect(numbers).toEqual([[3], [2], [1]])
      expect(await store.dropLogs({ perApp: 9, days: 9 }, never)).toBe(0)
    },
  )
}
