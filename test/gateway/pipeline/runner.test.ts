import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isFinal, type Deployment } from '#api/deployment.ts'
import { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import type { DeploymentStore } from '../../../gateway/src/deployments/store.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { Runner } from '../../../gateway/src/pipeline/runner.ts'
import type { Steps } from '../../../gateway/src/pipeline/steps.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const image = { reference: 'registry/shop@sha256:bb', digest: 'sha256:bb', tags: ['deployment-d1'] }
const built = { image, bases: { 'docker.io/library/node:22': 'sha256:cc' } }
const facts = {
  builder: 'railpack',
  reason: '',
  planner: 'p',
  provider: 'node',
  versions: {},
  startCommand: null,
} as const
const desired = desiredApp({
  flyToml: null,
  app: 'shop',
  options: DeploymentOptions.parse({}),
  defaults: { region: 'fra' },
})
const progress: DeployProgress = { desired, steps: [], rollbackReason: null, live: false }
const good: Steps = {
  secrets: async () => new Map(),
  fetch: async () => ({ digest: 'sha256:aa', files: 0, sizeBytes: 0, root: '/', entries: [] }),
  analyze: async () => ({ plan: { facts }, desired }),
  build: async ({ pushing }) => (pushing(), built),
  take: async () => ({ ...built, desired }),
  deploy: async () => {},
  verify: async () => ({ url: 'http://shop', release: { desired: {}, secrets: null } }),
}
const limits = {
  fetchMs: 1000,
  totalMs: 20_000,
  planMs: 1000,
  buildMs: 1000,
  deployMs: 1000,
  unavailableMs: 300,
  builds: 2,
  appBuilds: 2,
  deploys: 4,
  drainMs: 0,
  deaths: 3,
}
const boot = 'this boot'
const start = (
  store: DeploymentStore,
  steps: Partial<Steps> = {},
  own: Partial<typeof limits> = {},
) =>
  Runner.start({
    store,
    steps: { ...good, ...steps },
    log: openLog('silent'),
    hiddenValues: () => [],
    boot,
    limits: { ...limits, ...own },
  })
const submit = (store: DeploymentStore, id = 'd1', app = 'shop', options = {}) =>
  store.create({ id, app, options: DeploymentOptions.parse(options), source: null })
/** Leaves a deployment as a gateway does that is killed while it deploys. */
const cutOffAtDeploy = async (store: DeploymentStore, rollout: unknown) => {
  await submit(store)
  const { epoch } = (await store.claim())!
  const holder = { id: 'd1', epoch }
  await store.advance(holder, 'fetching', 'analyzing')
  await store.advance(holder, 'analyzing', 'building')
  await store.advance(holder, 'building', 'deploying', { image })
  await store.amend(holder, { rollout })
}
const ended = async (store: DeploymentStore, id = 'd1'): Promise<Deployment> => {
  for (;;) {
    const found = await store.find(id)
    if (found && isFinal(found.state)) return found
    await sleep(5)
  }
}
const states = async (store: DeploymentStore, id = 'd1') =>
  (await store.eventsAfter(id, 0, 1000)).flatMap((event) =>
    event.type === 'state' ? [event.state] : [],
  )

test('a deployment reaches its end, and its log holds every move', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  await using _runner = await start(store)
  expect(await ended(store)).toMatchObject({
    state: 'live',
    url: 'http://shop',
    ...built,
    plan: facts,
  })

  const builder = [
    'pending',
    'fetching',
    'analyzing',
    'building',
    'pushing',
    'deploying',
    'verifying',
    'live',
  ]
  expect(await states(store)).toEqual(builder)
})

test('deploy=false ends as built and touches no machine', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store, 'd1', 'shop', { deploy: false })
  await using _runner = await start(store, { deploy: () => Promise.reject(new Error('touched')) })
  expect(await ended(store)).toMatchObject({ state: 'built', image })
})

test('a failed build ends with its problem, and its earlier events are in the log', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  await using _runner = await start(store, {
    build: async ({ emit }) => {
      emit({ type: 'note', text: 'last words' })
      throw new Problem('build-failed', 'npm ci ended with 1', { facts: { exitCode: 1 } })
    },
  })
  expect(await ended(store)).toMatchObject({
    state: 'build_failed',
    problem: { code: 'build-failed', exitCode: 1, status: 422 },
  })

  const log = await store.eventsAfter('d1', 0, 100)
  expect(log.at(-2)).toMatchObject({ type: 'note', text: 'last words' })
  expect(log.at(-1)).toMatchObject({ type: 'state', problem: { code: 'build-failed' } })
})

test('an unavailable service is retried visibly for a limited time, then named', async () => {
  await using store = openSqliteStore(':memory:')
  let tries = 0
  const unavailable = () => new Problem('buildkit-unavailable', 'The build daemon does not answer.')
  await submit(store)
  await using _runner = await start(
    store,
    {
      build: async () => (++tries < 2 ? Promise.reject(unavailable()) : built),
      verify: () => Promise.reject(unavailable()),
    },
    { unavailableMs: 600 },
  )
  expect(await ended(store)).toMatchObject({
    state: 'deploy_failed',
    problem: { code: 'buildkit-unavailable' },
  })
  expect(tries).toBe(2)
  expect(await store.eventsAfter('d1', 0, 100)).toContainEqual(
    expect.objectContaining({ type: 'warning' }),
  )
})

test('a step over its time limit ends with the limit and the state it was in', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const hang = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  await using _runner = await start(
    store,
    { analyze: ({ signal }) => hang(signal) },
    { planMs: 30 },
  )
  expect(await ended(store)).toMatchObject({
    problem: { code: 'time-limit', state: 'analyzing', limitMs: 30, status: 504 },
  })
})

test.each([
  [
    'fetching',
    { fetchMs: 30 },
    'Fetching the source took longer than 0.03 s. The limit is in fetchSeconds of the app’s settings, TARMAC_FETCH_TIMEOUT of the gateway.',
  ],
  [
    'pushing',
    { buildMs: 30 },
    'The build took longer than 0.03 s. The limit is in buildSeconds of the app’s settings, TARMAC_BUILD_TIMEOUT of the gateway.',
  ],
  [
    'verifying',
    { totalMs: 60 },
    'The deployment took longer than 0.06 s. The limit is in totalSeconds of the app’s settings, TARMAC_TOTAL_TIMEOUT of the gateway.',
  ],
])('%s has its limit', async (state, own, detail) => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const hang = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  const slow: Partial<Record<typeof state, Partial<Steps>>> = {
    fetching: { fetch: (_d, signal) => hang(signal) },
    pushing: { build: ({ pushing, signal }) => (pushing(), hang(signal)) },
    verifying: { verify: ({ signal }) => hang(signal) },
  }
  await using _runner = await start(store, slow[state], own)
  const [limitMs] = Object.values(own)
  expect((await ended(store)).problem).toMatchObject({ code: 'time-limit', state, limitMs, detail })
})

test('an app’s own limit overrides the gateway’s', async () => {
  await using store = openSqliteStore(':memory:')
  await store.changeAppSettings('shop', { planSeconds: 1 })
  await submit(store)
  const analyze: Steps['analyze'] = ({ signal }) => sleep(20_000, undefined as never, { signal })
  await using _runner = await start(store, { analyze }, { planMs: 20_000 })
  expect((await ended(store)).problem).toMatchObject({
    code: 'time-limit',
    state: 'analyzing',
    limitMs: 1000,
  })
})

test('a deploy over its time limit says what was restored', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const back = new Problem('deploy-failed', 'It was late. 1 machine is back.', {
    facts: { machines: [1] },
  })
  const deploy: Steps['deploy'] = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(back)))
  await using _runner = await start(store, { deploy }, { deployMs: 30 })
  expect(await ended(store)).toMatchObject({
    state: 'deploy_failed',
    problem: {
      code: 'time-limit',
      state: 'deploying',
      limitMs: 30,
      machines: [1],
      detail: back.message,
    },
  })
})

test('deployments of one app run in sequence, of different apps in parallel', async () => {
  await using store = openSqliteStore(':memory:')
  let now = 0
  let most = 0
  const build: Steps['build'] = async () => {
    most = Math.max(most, ++now)
    await sleep(20)
    now--
    return built
  }
  await submit(store, 'a1', 'a')
  await using _runner = await start(store, { build })
  await sleep(5)
  await submit(store, 'a2', 'a')
  await submit(store, 'b1', 'b')
  await ended(store, 'a2')
  await ended(store, 'b1')
  expect(most).toBe(2)
  expect((await store.find('a1'))!.endedAt! <= (await store.find('a2'))!.updatedAt).toBe(true)
})

test('a stopped gateway returns its builds to the queue, and the next gateway finishes them', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  {
    await using _first = await start(store, {
      build: ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    })
    while ((await store.find('d1'))!.state !== 'building') await sleep(5)
  }
  expect(await store.find('d1')).toMatchObject({ state: 'pending' })
  await using _second = await start(store)
  expect(await ended(store)).toMatchObject({ state: 'live', attempt: 2 })
})

test('queued deployments wait while none may start, and start when the gate opens', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const opened = new EventEmitter()
  const gate = {
    open: false,
    onOpen: (listener: () => void) => void opened.on('open', listener),
  }
  const parts = {
    store,
    steps: good,
    log: openLog('silent'),
    hiddenValues: () => [],
    boot,
    limits,
    gate,
  }
  await using _runner = await Runner.start(parts)
  await sleep(20)
  expect(await store.find('d1')).toMatchObject({ state: 'pending' })

  gate.open = true
  opened.emit('open')
  expect(await ended(store)).toMatchObject({ state: 'live' })
})

test('a deploy that a crash cut off resumes from its checkpoint, without another build', async () => {
  await using store = openSqliteStore(':memory:')
  await cutOffAtDeploy(store, progress)
  let seen: unknown
  await using _runner = await start(store, {
    build: () => Promise.reject(new Error('built again')),
    deploy: async ({ rollout }) => void (seen = rollout),
  })
  expect(await ended(store)).toMatchObject({ state: 'live' })
  expect(seen).toEqual(progress)
})

test('a deployment whose saved progress is damaged fails, and says so', async () => {
  await using store = openSqliteStore(':memory:')
  await cutOffAtDeploy(store, { touched: ['m1'] })
  await using _runner = await start(store, { deploy: () => Promise.reject(new Error('deployed')) })
  expect(await ended(store)).toMatchObject({
    state: 'deploy_failed',
    problem: { code: 'database-unusable' },
  })
})

test('the verification gets the checkpoint of the deploy', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  let seen: unknown
  await using _runner = await start(store, {
    deploy: ({ checkpoint }) => checkpoint({ rollout: progress, machines: [] }),
    verify: async (work) => ((seen = work.rollout), good.verify(work)),
  })
  await ended(store)
  expect(seen).toEqual(progress)
})

test('the deploy and the verification get the config that the analysis read', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const seen: unknown[] = []
  await using _runner = await start(store, {
    build: async (work) => (seen.push(work.desired), built),
    deploy: async (work) => void seen.push(work.desired),
    verify: async (work) => (seen.push(work.desired), good.verify(work)),
  })
  await ended(store)
  expect(seen).toEqual([desired, desired, desired])
})

test('a move to pushing that fails ends the deployment when the build is over, with that error', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const advance = store.advance.bind(store)
  store.advance = (holder, from, to, patch) =>
    to === 'pushing'
      ? Promise.reject(new Problem('record-too-large', 'It does not fit.'))
      : advance(holder, from, to, patch)
  await using _runner = await start(store, {
    build: async ({ pushing }) => (pushing(), await sleep(20), built),
  })
  expect(await ended(store)).toMatchObject({
    state: 'build_failed',
    image: null,
    problem: { code: 'record-too-large' },
  })
})

test('build secrets and the gateway’s own are in no event and no problem', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const secret = Buffer.from('correct-horse-battery')
  const emitAll =
    (text: string): Steps['build'] =>
    async ({ secrets, emit }) => {
      expect(secrets.get('A')).toBe(secret)
      const log = (line: string) => emit({ type: 'log', step: 's1', stream: 'stdout', text: line })
      log(`it is ${text.slice(0, 9)}`)
      await sleep(150)
      log(`${text.slice(9)} and a-token-of-ours`)
      emit({
        type: 'step',
        step: 's1',
        name: `echo ${text}`,
        status: 'failed',
        error: `exit: ${text}`,
      })
      throw new Problem('build-failed', `echo ${text} failed`, { facts: { step: `echo ${text}` } })
    }
  await using _runner = await Runner.start({
    store,
    steps: {
      ...good,
      secrets: async () => new Map([['A', secret]]),
      build: emitAll(secret.toString()),
    },
    log: openLog('silent'),
    hiddenValues: () => ['a-token-of-ours'],
    boot,
    limits,
  })
  const { problem } = await ended(store)
  expect(problem).toMatchObject({
    detail: 'echo *** failed',
    step: 'echo ***',
    lastLines: ['it is ***', '*** and ***'],
  })

  const log = await store.eventsAfter('d1', 0, 100)
  expect(JSON.stringify(log)).not.toMatch(/correct-horse-battery|horse-battery|a-token/)
  expect(log).toContainEqual(
    expect.objectContaining({ type: 'step', name: 'echo ***', error: 'exit: ***' }),
  )
})

test('secrets that cannot be decrypted end the deployment before the build', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const secrets = () =>
    Promise.reject(new Problem('secrets-unavailable', 'encrypted with another key'))
  await using _runner = await start(store, {
    secrets,
    build: () => Promise.reject(new Error('built')),
  })
  expect(await ended(store)).toMatchObject({
    state: 'build_failed',
    problem: { code: 'secrets-unavailable' },
  })
})

test('with lane=cancel-running a newer deployment stops the running build, which ends as superseded; then the newer one runs', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  await using _runner = await start(store, {
    build: async (work) => (work.deployment.id === 'd1' ? untilStopped(work) : built),
  })
  while ((await store.find('d1'))!.state !== 'building') await sleep(5)
  await submit(store, 'd2', 'shop', { lane: 'cancel-running' })
  expect(await ended(store)).toMatchObject({ state: 'superseded', problem: { supersededBy: 'd2' } })
  expect(await ended(store, 'd2')).toMatchObject({ state: 'live' })
})

test('a deploy that waits for Fly takes no build slot', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store, 'd1', 'shop')
  const fly = Promise.withResolvers<void>()
  const deploy: Steps['deploy'] = async ({ deployment }) =>
    deployment.id === 'd1' ? fly.promise : undefined
  await using _runner = await start(store, { deploy }, { builds: 1 })
  while ((await store.find('d1'))!.state !== 'deploying') await sleep(5)
  await submit(store, 'd2', 'blog')
  expect(await ended(store, 'd2')).toMatchObject({ state: 'live' })
  fly.resolve()
  expect(await ended(store)).toMatchObject({ state: 'live' })
})

test('waiting deployments log what they wait for, whenever it changes', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  await using _runner = await start(store, { build: untilStopped }, { builds: 1 })
  await submit(store, 'd2', 'blog')
  await expect
    .poll(() => store.eventsAfter('d2', 1, 9))
    .toMatchObject([{ type: 'waiting', for: 'builds', place: 1 }])
})

const untilStopped: Steps['build'] = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

test('a cancelled build stops its work, and is cancelled only once nothing of it runs', async () => {
  await using store = openSqliteStore(':memory:')
  let cleaned = false
  await submit(store)
  await using runner = await start(store, {
    build: (work) =>
      untilStopped(work).finally(async () => {
        await sleep(20)
        expect((await store.find('d1'))!.state).toBe('building')
        cleaned = true
      }),
  })
  while ((await store.find('d1'))!.state !== 'building') await sleep(5)
  expect(await runner.cancel('d1', { by: 'ada', why: null, abort: false })).toMatchObject({
    state: 'building',
  })
  expect(await ended(store)).toMatchObject({
    state: 'cancelled',
    problem: { detail: 'Cancelled by ada.' },
  })
  expect(cleaned).toBe(true)
})

test('a deploy is aborted only on request, and is cancelled once its machines are restored', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const touched = Promise.withResolvers<void>()
  await using runner = await start(store, {
    deploy: async ({ checkpoint, signal }) => {
      await checkpoint({ rollout: progress, machines: [] })
      touched.resolve()
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      )
    },
  })
  await touched.promise
  const request = { by: null, why: 'broken', abort: false }
  await expect(runner.cancel('d1', request)).rejects.toMatchObject({ code: 'cancel-too-late' })

  await runner.cancel('d1', { ...request, abort: true })
  expect(await ended(store)).toMatchObject({
    state: 'cancelled',
    problem: { detail: 'Cancelled on request: broken.' },
  })
})

test('a cancel that could not restore the machines does not end as cancelled', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  await using runner = await start(store, {
    deploy: ({ signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener('abort', () =>
          reject(new Problem('rollback-failed', 'm1 is left on the new image')),
        ),
      ),
  })
  while ((await store.find('d1'))!.state !== 'deploying') await sleep(5)
  await runner.cancel('d1', { by: null, why: null, abort: true })
  expect(await ended(store)).toMatchObject({
    state: 'deploy_failed',
    problem: { code: 'rollback-failed' },
  })
})

test('work that another gateway has claimed stops here, and writes nothing more', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const gate = { open: true, onOpen: () => {} }
  const at = Promise.withResolvers<void>()
  const stopped = Promise.withResolvers<void>()
  await using _runner = await Runner.start({
    store,
    steps: {
      ...good,
      analyze: ({ signal }) =>
        new Promise((_, reject) => {
          at.resolve()
          signal.addEventListener(
            'abort',
            () => (stopped.resolve(), reject(signal.reason as Error)),
          )
        }),
    },
    log: openLog('silent'),
    hiddenValues: () => [],
    boot,
    limits: { ...limits, planMs: 10_000, builds: 1 },
    gate,
    renewMs: 20,
  })
  await at.promise
  gate.open = false
  await store.recover('Its gateway is gone')
  // The queue may still say where the deployment waits.
  const written = async () =>
    (await store.eventsAfter('d1', 0, 99)).filter(({ type }) => type !== 'waiting')
  const log = await written()
  await stopped.promise
  await sleep(20)
  expect(await store.find('d1')).toMatchObject({ state: 'pending', attempt: 1 })
  expect(await written()).toEqual(log)
})

test('a full disk for a while ends nothing: the deployment waits, and continues where it was', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  let refusals = 0
  const full = () => {
    refusals++
    return Promise.reject(new Problem('no-space', 'The gateway’s volume is full.'))
  }
  const [advance, amend] = [store.advance.bind(store), store.amend.bind(store)]
  store.advance = (...given) =>
    given[2] === 'deploying' && refusals < 2 ? full() : advance(...given)
  store.amend = (...given) => (refusals < 3 ? full() : amend(...given))
  let [builds, deploys] = [0, 0]
  await using _runner = await start(
    store,
    {
      build: async () => (builds++, built),
      deploy: async ({ checkpoint }) => (
        deploys++,
        checkpoint({ rollout: progress, machines: [] })
      ),
    },
    { unavailableMs: 5000, deployMs: 5000 },
  )
  expect(await ended(store)).toMatchObject({ state: 'live' })
  expect([builds, deploys, refusals]).toEqual([1, 1, 3])
})

test('work whose end could not be recorded resumes once the record can be written', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const advance = store.advance.bind(store)
  let full = 2
  store.advance = async (holder, from, to, patch) => {
    if (to === 'build_failed' && full-- > 0) throw new Error('database or disk is full')
    return advance(holder, from, to, patch)
  }
  const build = () => Promise.reject(new Problem('build-failed', 'npm ci ended with exit code 1.'))
  await using runner = await start(store, { build })
  expect(await ended(store)).toMatchObject({
    state: 'build_failed',
    attempt: 3,
    problem: { code: 'build-failed' },
  })
  await runner.drain()
})

test('after a crash, interrupted work runs alone, one by one; then the others run in parallel', async () => {
  await using store = openSqliteStore(':memory:')
  await store.startLife({ boot, maxDeaths: 3 }, '')
  for (const id of ['a', 'b']) await submit(store, id, id)
  while (await store.claim()); // the gateway crashes here
  for (const id of ['c', 'd']) await submit(store, id, id)
  let now = 0
  const beside: Record<string, number> = {}
  const build: Steps['build'] = async ({ deployment: { id } }) => {
    now++
    await sleep(30)
    beside[id] = now
    await sleep(10)
    now--
    return built
  }
  await using _runner = await start(store, { build })
  for (const id of ['a', 'b', 'c', 'd'])
    expect(await ended(store, id)).toMatchObject({ state: 'live' })
  expect(Object.keys(beside).slice(0, 2).toSorted()).toEqual(['a', 'b'])
  expect([beside['a'], Math.max(beside['c']!, beside['d']!)]).toEqual([1, 2])
})

test('what can never write its end is given up, with an end that says so', async () => {
  await using store = openSqliteStore(':memory:')
  await submit(store)
  const advance = store.advance.bind(store)
  store.advance = async (holder, from, to, patch) => {
    if (patch?.problem) throw new RangeError('Maximum call stack size exceeded')
    return advance(holder, from, to, patch)
  }
  const build = () => Promise.reject(new Problem('build-failed', 'npm ci ended with exit code 1.'))
  await using runner = await start(store, { build })
  expect(await ended(store)).toMatchObject({
    state: 'build_failed',
    attempt: 3,
    problem: { code: 'internal' },
  })
  await runner.drain()
})

test('a deployment of an image has no secrets in its log either', async () => {
  await using store = openSqliteStore(':memory:')
  await store.create({
    id: 'd1',
    app: 'shop',
    options: DeploymentOptions.parse({}),
    source: null,
    image,
  })
  const secrets = async () => new Map([['TOKEN', Buffer.from('a-secret-of-the-app')]])
  const deploy: Steps['deploy'] = async ({ emit }) =>
    emit({ type: 'note', text: 'it printed a-secret-of-the-app' })
  await using _runner = await start(store, { secrets, deploy })
  await ended(store)
  expect(JSON.stringify(await store.eventsAfter('d1', 0, 100))).toMatch(/it printed \*\*\*/)
})

const named = { reference: 'ghcr.io/acme/shop:v3', digest: null }
const submitImage = (store: DeploymentStore) =>
  store.create({
    id: 'd1',
    app: 'shop',
    options: DeploymentOptions.parse({}),
    source: null,
    requestedImage: named,
  })

test('an image that was asked for by name is taken, then deployed; nothing is built', async () => {
  await using store = openSqliteStore(':memory:')
  await submitImage(store)
  const never = () => Promise.reject(new Error('nothing is built'))
  const taken = { ...built, desired }
  await using _runner = await start(store, {
    fetch: never,
    analyze: never,
    build: never,
    take: async ({ pushing, pinned }) => {
      await pinned({ ...named, digest: 'sha256:aa' })
      pushing()
      return taken
    },
  })
  expect(await ended(store)).toMatchObject({
    state: 'live',
    image,
    requestedImage: { ...named, digest: 'sha256:aa' },
  })
  expect(await states(store)).toEqual(['pending', 'pushing', 'deploying', 'verifying', 'live'])
})

test('a later try takes the digest that an earlier one has recorded, also after a restart', async () => {
  await using store = openSqliteStore(':memory:')
  await submitImage(store)
  const seen: (string | null | undefined)[] = []
  const copying = Promise.withResolvers<void>()
  const steps: Partial<Steps> = {
    take: async ({ deployment, pinned, signal }) => {
      seen.push(deployment.requestedImage?.digest)
      await pinned({ ...named, digest: 'sha256:aa' })
      if (seen.length === 1) throw new Problem('registry-unavailable', 'It is away.')
      if (seen.length > 2) return { ...built, desired }
      copying.resolve()
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      )
    },
  }
  {
    await using _runner = await start(store, steps, { unavailableMs: 5000 })
    await copying.promise
  }
  expect(await store.find('d1')).toMatchObject({ state: 'pending' })
  await using _runner = await start(store, steps)
  expect(await ended(store)).toMatchObject({ state: 'live' })
  expect(seen).toEqual([null, 'sha256:aa', 'sha256:aa'])
})

test('a copy takes a build slot, fails as a build does, and stops when it is cancelled', async () => {
  await using store = openSqliteStore(':memory:')
  await submitImage(store)
  expect(await store.claim({ builds: 0, appBuilds: 2, deploys: 4 })).toBe(null)
  await using runner = await start(store, {
    take: ({ signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  })
  await expect.poll(() => states(store)).toEqual(['pending', 'pushing'])
  await runner.cancel('d1', { by: 'ada', why: null, abort: false })
  expect(await ended(store)).toMatchObject({ state: 'cancelled' })
})
