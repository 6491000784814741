import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { DeploymentState } from '../../../api/deployment.ts'
import type { NewEvent } from '../../../api/event.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import { Problem } from '../../../api/problem.ts'
import type { DeploymentPatch } from '../../../gateway/src/deployments/store.ts'
import type { ConnectionLimits } from '../../../gateway/src/http/connections.ts'
import { listen } from '../../../gateway/src/http/listen.ts'
import { openGuarded } from '../../../gateway/src/commands/access/open-guarded.ts'
import type { Commands } from '../../../gateway/src/commands/commands.ts'
import { Submissions, type SubmissionsDeps } from '../../../gateway/src/commands/submissions.ts'
import { Drain } from '../../../gateway/src/commands/drain.ts'
import { type CommandDeps, openCommands } from '../../../gateway/src/commands/open-commands.ts'
import { Admission } from '../../../gateway/src/callers/admission.ts'
import { openCallers } from '../../../gateway/src/callers/open-callers.ts'
import { operator } from '../../../gateway/src/callers/principal.ts'
import type { UploadsAtOnce } from '../../../gateway/src/callers/upload-slots.ts'
import { Awake } from '../../../gateway/src/awake/awake.ts'
import type { ServerDeps } from '../../../gateway/src/http/deps.ts'
import { openLog } from '../../../gateway/src/log.ts'
import type { Sources } from '../../../gateway/src/sources/sources.ts'
import { Uploads } from '../../../gateway/src/sources/uploads/uploads.ts'
import { SealingKeys } from '../../../gateway/src/secrets/sealing.ts'
import { Vault } from '../../../gateway/src/secrets/vault.ts'
import { LoginTester } from '../../../gateway/src/registries/login-tester.ts'
import { Registries } from '../../../gateway/src/registries/registries.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

export const token = 'a-token-for-the-tests'
export const authorization = { Authorization: `Bearer ${token}` }

/** The callers of a gateway with these tokens in its settings, and no other caller there. */
export const openTestCallers = (tokens: string[], store: ReturnType<typeof openSqliteStore>) =>
  openCallers(
    { oidcRules: [], trustedProxies: [], deployer: { org: 'acme' }, secrets: { tokens } },
    { store, fly: { orgMachines: async () => [] }, log: openLog('silent') },
  )

type Own = {
  registriesAt: string[]
  uploadLimits: Partial<Parameters<typeof Uploads.open>[0]>
  uploadsAtOnce: UploadsAtOnce
  hasSource: boolean
  /** The real ones, for tests that send some. */
  sources: Sources
}

/**
 * The real HTTP server over the real store, on a free port. It counts and hashes bytes instead of
 * unpacking them. It refuses a body that begins with `refuse` at once. Deployments do not move
 * until the test moves them with `play`.
 */
export async function startHttp(
  own: Partial<Commands & ServerDeps & Own> = {},
  limits: Partial<ConnectionLimits> = {},
) {
  const store =
    (own.store as ReturnType<typeof openSqliteStore> | undefined) ?? openSqliteStore(':memory:')
  const volume = { dir: mkdtempSync(join(tmpdir(), 'tarmac-http-')), key: randomBytes(32) }
  const { trail } = await store.openTrail({ ...volume, log: openLog('silent') })
  const sealing = new SealingKeys(randomBytes(32))
  const vault = new Vault(store, sealing)
  const registries = await Registries.open({
    store: store.registries,
    sealing,
    teamOf: (app) => store.teams.teamOf(app),
    log: openLog('silent'),
  })
  const loginTester = new LoginTester({
    registry: 'registry.invalid',
    plainHttp: own.registriesAt ?? [],
    images: { allowed: [] },
    buildkit: { mirrors: {} },
  })
  const stop = new AbortController()
  const logged: string[] = []
  const received: { sizeBytes: number; contentDigest?: string }[] = []
  const runner = { running: () => 0, pause() {}, stopRunning() {}, resume: async () => {} }
  const callers = await openTestCallers([token, 'another-token-of-tests'], store)
  const receive: ServerDeps['receive'] = async (
    body,
    { contentDigest: early, lateDigest, ...more },
  ) => {
    if (own.sources)
      return own.sources.receive(body, {
        ...more,
        ...(early !== undefined && { contentDigest: early }),
        ...(lateDigest && { lateDigest }),
      })
    const hash = createHash('sha256')
    let sizeBytes = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (sizeBytes === 0 && chunk.subarray(0, 6).toString() === 'refuse')
        throw new Problem('archive-unsupported', 'Send a tar, tar.gz or tar.zst archive.')
      sizeBytes += chunk.length
      hash.update(chunk)
    }
    const contentDigest = early ?? (await lateDigest?.())
    received.push({ sizeBytes, ...(contentDigest !== undefined && { contentDigest }) })
    return { digest: `sha256:${hash.digest('hex')}`, files: 1, sizeBytes }
  }
  const uploadLimits = { keepMs: 3_600_000, perCaller: 20, maxBytes: () => 2 ** 30 }
  const uploads = await Uploads.open({ dir: volume.dir, ...uploadLimits, ...own.uploadLimits })
  const admission = new Admission(store, uploads, own.uploadsAtOnce)
  const submissions = new Submissions({
    store,
    vault,
    admission,
    sources: own.sources ?? { receive, join: () => {} },
    uploads,
    assertAccepting() {},
  } as unknown as SubmissionsDeps)
  const drain = new Drain({ store, runner, log: openLog('silent') })
  const commands: Commands = {
    ...openCommands({
      store,
      vault,
      drain,
      rules: callers.rules,
      admission,
      uploads,
      submissions,
      gatewayLimits: [],
      queueLimits: { builds: 2, appBuilds: 1, deploys: 2 },
      mayStart: () => true,
      trail,
      tokens: callers.tokens,
      sessions: callers.sessions,
      registries,
      loginTester,
      fly: { app: async () => null },
      sources: own.sources ?? { tree: () => Promise.reject(new Error('no source is kept here')) },
    } as unknown as CommandDeps),
    submit: (caller, submission) => submissions.submit(caller, submission),
    deployExisting: absent,
    rollback: absent,
    createRollout: absent,
    rollout: absent,
    rollouts: absent,
    cancelRollout: absent,
    drift: { report: absent, list: absent, accept: absent },
    deleteApp: absent,
    changeSettings: (_caller, app, patch) => store.changeAppSettings(app, patch),
    retry: async (_caller, id, { idempotencyKey }) => {
      const { app, options, source } = (await store.find(id))!
      return store.create({ id: randomUUID(), app, options, source, idempotencyKey })
    },
    cancel: (caller, id, request) =>
      store.requestCancel(id, { ...request, by: request.by ?? caller.name }),
    ...own,
  }
  const awake = new Awake()
  const deps: ServerDeps = {
    store,
    awake,
    admission,
    receive,
    assertAccepting: () => {},
    appDefaults: { region: 'ams', builds: 4 },
    readiness: () =>
      Promise.resolve({ ready: true, parts: { buildkit: { ok: true, detail: 'answers' } } }),
    authenticate: callers.authenticate,
    sessionOf: (cookie) => callers.sessions.find(cookie),
    currency: null,
    log: openLog('info', { write: (line: string) => void logged.push(line) }),
    stopping: stop.signal,
    maxUploadBytes: 100 * 2 ** 20,
    ...own,
  }
  const options = { host: '127.0.0.1', port: 0, graceMs: 500, limits }
  const server = await listen(
    openGuarded(commands, {
      store,
      trail,
      admission,
      isOnFly: async (app) => app.startsWith('on-fly'),
      hasSource: async () => own.hasSource ?? true,
      log: deps.log,
      secrets: { tokens: [token], fly: '' },
      registryHost: 'registry.test',
    }),
    deps,
    options,
  )

  /** Claims the oldest pending deployment and applies these moves and events to it. */
  async function play(moves: (NewEvent | [DeploymentState, DeploymentPatch?])[]) {
    let claim = await store.claim()
    // Its record is made after the source has arrived, and after its entry in the audit trail.
    for (let at = 0; !claim && at < 500; at++) {
      await setTimeout(10)
      claim = await store.claim()
    }
    if (!claim) throw new Error('no deployment waits')
    const holder = { id: claim.deployment.id, epoch: claim.epoch }
    let state = claim.deployment.state
    for (const move of moves)
      if (!Array.isArray(move)) await store.append(holder, [move])
      else {
        if (!(await store.advance(holder, state, move[0], move[1])))
          throw new Error(`no move to ${move[0]}`)
        state = move[0]
      }
    return { id: holder.id, more: (event: NewEvent) => store.append(holder, [event]), holder }
  }

  /**
   * Sends these pieces one after the other. Returns everything that is answered until the
   * connection closes.
   */
  async function raw(...pieces: (string | Buffer)[]): Promise<string> {
    const line = connect(server.port, '127.0.0.1').on('error', () => {})
    let answer = ''
    line.on('data', (data) => (answer += data.toString('latin1')))
    const closed = new Promise((resolve) => line.once('close', resolve))
    for (const piece of pieces) {
      line.write(piece)
      await setTimeout(15)
    }
    await closed
    return answer
  }

  return {
    ...server,
    raw,
    store,
    awake,
    vault,
    registries,
    submissions,
    uploads,
    /** Its volume. */
    dir: volume.dir,
    logged,
    received,
    play,
    stop: () => stop.abort(),
    create: () =>
      commands.submit(operator, {
        app: 'shop',
        options: DeploymentOptions.parse({}),
        source: { digest: 'sha256:aa', files: 1, sizeBytes: 2 },
        secrets: new Map(),
        idempotencyKey: null,
      }),
    get: (path: string, headers: Record<string, string> = {}) =>
      fetch(`${server.url}${path}`, { headers: { ...authorization, ...headers } }),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await server[Symbol.asyncDispose]()
      await uploads[Symbol.asyncDispose]()
      if (!own.store) await store[Symbol.asyncDispose]()
    },
  }
}

/** Stands for a part that a test must provide itself when it uses it. */
const absent = () => Promise.reject(new Error('not part of this test'))

export const toLive = [
  ['analyzing'],
  ['building'],
  { type: 'step', step: 's1', name: 'npm ci', status: 'done', ms: 1200 },
  { type: 'log', step: 's1', stream: 'stdout', text: '\x1b[32madded\x1b[0m 3 packages\n' },
  ['pushing'],
  ['deploying'],
  ['verifying'],
  ['live', { url: 'http://shop.localhost/' }],
] satisfies (NewEvent | [DeploymentState, DeploymentPatch?])[]
export const toBuildFailed = [
  ['analyzing'],
  ['building'],
  [
    'build_failed',
    { problem: new Problem('build-failed', 'npm ci ended with exit code 1.').body() },
  ],
] satisfies (NewEvent | [DeploymentState, DeploymentPatch?])[]
