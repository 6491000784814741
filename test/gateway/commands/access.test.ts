import { expect, test } from 'vitest'
import { Problem } from '../../../api/problem.ts'
import { allows, Scope } from '../../../api/callers/scope.ts'
import { operator, type Principal, sees } from '../../../gateway/src/callers/principal.ts'
import { type Gate, guarded } from '../../../gateway/src/commands/access/guarded.ts'
import { access } from '../../../gateway/src/commands/access/table.ts'
import type { Commands } from '../../../gateway/src/commands/commands.ts'
import { openCommands } from '../../../gateway/src/commands/open-commands.ts'

const app = { app: 'shop', options: { owner: null } }

/** For each command: arguments that concern the app `shop`, and the scopes that allow it. */
const rows: Record<
  string,
  {
    args: unknown[]
    scopes: Scope[]
    /** About the gateway as a whole: for callers without a limit. */
    wide?: true
    /** For every caller, who gets its own part. */
    filtered?: true
    /** About a team as well: callers limited to some apps of it may call it. */
    ofTeam?: true
    /** Teams that the caller must be in. Without it: the team of the app. */
    teams?: string[]
    /** For every caller, whatever its scopes. */
    anyone?: true
    /** May be about an app that does not exist yet. */
    creates?: true
  }
> = {
  submit: { args: [app], scopes: ['deploy', 'admin'], creates: true },
  deploySent: {
    args: [{ ...app, source: { upload: 'a' } }],
    scopes: ['deploy', 'admin'],
    creates: true,
  },
  'uploads.create': { args: [{ app: 'shop' }], scopes: ['deploy', 'admin'], creates: true },
  // Of the caller's own alone: see test/gateway/commands/uploads.test.ts.
  'uploads.find': { args: ['a'], scopes: ['deploy', 'admin'], filtered: true },
  'uploads.append': { args: ['a', {}], scopes: ['deploy', 'admin'], filtered: true },
  'uploads.remove': { args: ['a'], scopes: ['deploy', 'admin'], filtered: true },
  deployExisting: { args: [{ image: 'nginx' }, app], scopes: ['deploy', 'admin'], creates: true },
  'trees.send': { args: ['shop', {}], scopes: ['deploy', 'admin'], creates: true },
  'trees.sendPack': { args: ['shop', {}], scopes: ['deploy', 'admin'], creates: true },
  'trees.takeUpload': { args: ['shop', 'a'], scopes: ['deploy', 'admin'], creates: true },
  'sourceFiles.archive': { args: ['of-shop'], scopes: ['deploy', 'admin'] },
  'sourceFiles.compare': { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  rollback: { args: [app], scopes: ['deploy', 'admin'] },
  retry: { args: ['of-shop', { reuseImage: false }], scopes: ['deploy', 'admin'] },
  cancel: { args: ['of-shop'], scopes: ['deploy', 'admin'] },
  refuseBusyLane: { args: [app], scopes: ['deploy', 'admin'], creates: true },
  deployment: { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  logOf: { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  imageLayers: { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  deployments: { args: ['shop', {}], scopes: ['read', 'deploy', 'preview', 'admin'] },
  releases: {
    args: [{ app: 'shop', owner: null }],
    scopes: ['read', 'deploy', 'preview', 'admin'],
  },
  release: { args: [{ app: 'shop', owner: null }], scopes: ['read', 'deploy', 'preview', 'admin'] },
  releaseDiff: {
    args: [{ app: 'shop', owner: null }],
    scopes: ['read', 'deploy', 'preview', 'admin'],
  },
  status: { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  diskHistory: { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], wide: true },
  removals: { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], wide: true },
  doctor: { args: [{}], scopes: ['admin'], wide: true },
  'machines.list': { args: ['shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'machines.metrics': {
    args: ['shop', { owner: null, minutes: 60 }],
    scopes: ['read', 'deploy', 'preview', 'admin'],
  },
  'machines.change': { args: ['shop', 'm1', 'stop'], scopes: ['deploy', 'admin'] },
  'owners.list': { args: ['shop', {}, {}], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'owners.show': {
    args: [{ app: 'shop', owner: 'ada' }],
    scopes: ['read', 'deploy', 'preview', 'admin'],
  },
  'owners.change': { args: [{ app: 'shop', owner: 'ada' }, 'stop'], scopes: ['deploy', 'admin'] },
  'owners.destroy': { args: [{ app: 'shop', owner: 'ada' }, 'keep'], scopes: ['deploy', 'admin'] },
  'overview.deployments': {
    args: [{}, {}],
    scopes: ['read', 'deploy', 'preview', 'admin'],
    filtered: true,
  },
  'overview.apps': {
    args: [{}, {}],
    scopes: ['read', 'deploy', 'preview', 'admin'],
    filtered: true,
  },
  'overview.queue': { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  'drift.report': { args: ['shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'drift.list': { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  'router.deploy': {
    args: [{ app: 'shop', router: 'shop' }, null],
    scopes: ['deploy', 'admin'],
    creates: true,
  },
  'router.list': { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  'router.show': {
    args: [{ app: 'shop', router: 'shop' }],
    scopes: ['read', 'deploy', 'preview', 'admin'],
  },
  'router.remove': { args: [{ app: 'shop', router: 'shop' }], scopes: ['admin'] },
  'drift.accept': { args: ['shop'], scopes: ['deploy', 'admin'] },
  deleteApp: { args: ['shop', { confirm: 'shop', foreign: false }], scopes: ['admin'] },
  cacheUsage: { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  removeCache: { args: ['shop'], scopes: ['deploy', 'admin'] },
  settings: { args: ['shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  changeSettings: { args: ['shop', {}], scopes: ['deploy', 'admin'] },
  secrets: { args: ['shop'], scopes: ['secrets', 'admin'] },
  changeBuildSecrets: { args: ['shop', new Map()], scopes: ['secrets', 'admin'] },
  'runtime.secrets': { args: [{ app: 'shop', owner: null }], scopes: ['secrets', 'admin'] },
  'runtime.changeSecrets': {
    args: [{ app: 'shop', owner: null }, { deploy: false }],
    scopes: ['secrets', 'admin'],
  },
  'runtime.deploySecrets': { args: [{ app: 'shop', owner: null }], scopes: ['admin'] },
  'runtime.env': { args: ['shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'runtime.changeEnv': { args: ['shop', { deploy: true }], scopes: ['deploy', 'admin'] },
  putSecret: { args: ['shop', 'KEY'], scopes: ['secrets', 'admin'] },
  deleteSecret: { args: ['shop', 'KEY'], scopes: ['secrets', 'admin'] },
  'tokens.create': { args: [{}], scopes: ['admin'], filtered: true },
  'tokens.createLink': { args: [{ app: 'shop', owner: null }, {}], scopes: ['deploy', 'admin'] },
  'tokens.find': { args: ['ci'], scopes: ['admin'], filtered: true },
  'tokens.list': { args: [{}], scopes: ['admin'], filtered: true },
  'tokens.revoke': { args: ['ci'], scopes: ['admin'], filtered: true },
  'sessions.open': { args: ['tmc_a'], scopes: [...Scope.options], filtered: true, anyone: true },
  'sessions.end': { args: ['a'], scopes: [...Scope.options], filtered: true, anyone: true },
  'sessions.endAll': { args: [], scopes: [...Scope.options], filtered: true, anyone: true },
  'tokens.rotate': { args: ['ci', {}], scopes: ['admin'], filtered: true },
  'previews.requests': {
    args: [{}],
    scopes: ['read', 'deploy', 'preview', 'admin'],
    filtered: true,
  },
  'queue.pause': { args: [null], scopes: ['admin'], wide: true },
  'queue.resume': { args: [], scopes: ['admin'], wide: true },
  'queue.first': { args: ['of-shop'], scopes: ['admin'] },
  'drain.start': { args: [1], scopes: ['admin'], wide: true },
  'drain.status': { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], wide: true },
  'drain.end': { args: [], scopes: ['admin'], wide: true },
  'records.backup': { args: [], scopes: ['admin'], wide: true },
  'records.assertDrained': { args: [], scopes: ['admin'], wide: true },
  'records.restore': { args: [{}], scopes: ['admin'], wide: true },
  'registries.list': { args: [], scopes: ['admin'], filtered: true },
  'registries.add': { args: [{}], scopes: ['admin'], filtered: true },
  'registries.test': { args: ['ghcr.io', {}], scopes: ['admin'], filtered: true },
  'registries.rotate': { args: ['ghcr.io', {}], scopes: ['admin'], filtered: true },
  'registries.remove': { args: ['ghcr.io'], scopes: ['admin'], filtered: true },
  'previews.create': { args: [{ app: 'shop', owner: null }, {}], scopes: ['preview', 'admin'] },
  'previews.assertRoom': {
    args: [{ app: 'shop', owner: null }, {}],
    scopes: ['preview', 'admin'],
  },
  'previews.find': { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'previews.list': {
    args: [{}, {}],
    scopes: ['read', 'deploy', 'preview', 'admin'],
    filtered: true,
  },
  'previews.living': {
    args: [{}],
    scopes: ['read', 'deploy', 'preview', 'admin'],
    filtered: true,
  },
  'previews.extend': { args: ['of-shop', null], scopes: ['preview', 'admin'] },
  'previews.destroy': { args: ['of-shop'], scopes: ['preview', 'admin'] },
  'previews.change': { args: ['of-shop', 'stop'], scopes: ['preview', 'admin'] },
  'previews.logs': { args: ['of-shop', 100], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'previews.exec': { args: ['of-shop', { command: ['ls'] }], scopes: ['admin'] },
  'templates.list': { args: ['shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'templates.find': { args: ['shop', 'a', null], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'templates.set': { args: ['shop', 'a', {}], scopes: ['admin'] },
  'templates.remove': { args: ['shop', 'a'], scopes: ['admin'] },
  'pools.list': {
    args: [{}],
    scopes: ['read', 'deploy', 'preview', 'admin'],
    filtered: true,
  },
  'pools.set': { args: ['shop', 'a', { image: 'registry.test/shop:v1' }], scopes: ['admin'] },
  'pools.remove': { args: ['shop', 'a'], scopes: ['admin'] },
  'rules.list': { args: [], scopes: ['admin'], wide: true },
  'rules.add': { args: [{}], scopes: ['admin'], wide: true },
  'rules.remove': { args: ['ci'], scopes: ['admin'], wide: true },
  'audit.list': { args: [{}, {}], scopes: ['admin'], filtered: true },
  assertMayRollOut: { args: [[app]], scopes: ['deploy', 'admin'], creates: true },
  createRollout: {
    args: [{ source: null, targets: [app] }, null],
    scopes: ['deploy', 'admin'],
    creates: true,
  },
  rollout: { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  rollouts: { args: [{}], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  cancelRollout: { args: ['of-shop'], scopes: ['deploy', 'admin'] },
  'teams.list': { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  'teams.show': { args: ['acme'], scopes: ['read', 'deploy', 'preview', 'admin'], ofTeam: true },
  'teams.create': { args: ['acme'], scopes: ['admin'], wide: true },
  'teams.remove': { args: ['acme'], scopes: ['admin'], wide: true },
  'teams.addMember': { args: ['acme', 'token:ci'], scopes: ['admin'], wide: true },
  'teams.removeMember': { args: ['acme', 'token:ci'], scopes: ['admin'], wide: true },
  'teams.addApp': { args: ['acme', 'shop'], scopes: ['admin'], creates: true },
  // It becomes an app of the team `default`.
  'teams.removeApp': {
    args: ['acme', 'shop'],
    scopes: ['admin'],
    teams: ['acme', 'default'],
  },
  'teams.setQuotas': { args: ['acme', {}], scopes: ['admin'], wide: true },
  whoami: { args: [], scopes: [...Scope.options], filtered: true, anyone: true },
  'limits.read': { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
}

const done = Object.assign([], {
  routers: [],
  entries: [],
  deployments: [],
  apps: [],
  rollouts: [],
  previews: [],
  teams: [],
  machines: [],
  slots: { builds: {}, deploys: {} },
  next: null,
})
const gate: Gate = {
  find: {
    deployment: async (id) => (id === 'of-shop' ? { app: 'shop', owner: null } : null),
    preview: async (id) => (id === 'of-shop' ? { app: 'shop', owner: null } : null),
    unfinished: async () => [],
    rollout: async (id) => (id === 'of-shop' ? [{ app: 'shop', owner: null }] : null),
    settings: async () => ({}),
    appOfImage: (reference) => /^registry\.test\/([^:@]*)/.exec(reference)?.[1] ?? null,
    rule: async () => null,
    isSourceGone: async () => false,
    teams: { find: () => null, teamOf: () => 'default', teamsOf: () => null },
  },
  inTeams: (caller) => caller,
  mayCreate: async () => false,
  teamOf: (name) => (name === 'shop' ? 'acme' : 'default'),
  partOf: ({ app: name, ...target }) =>
    name === 'shop-ada-ow-1'
      ? { app: 'shop', owner: 'ada' }
      : { ...target, app: name === 'shop-pv-1' ? 'shop' : name },
  around: (_call, run) => run(),
  refused: async () => {},
}

type Group = { [name: string]: Group | ((...args: unknown[]) => Promise<unknown>) }

/** The names of all commands: `drain.start`. */
const namesIn = (group: object, leaf: (value: object) => boolean, prefix = ''): string[] =>
  Object.entries(group).flatMap(([name, value]: [string, object]) =>
    leaf(value) ? [`${prefix}${name}`] : namesIn(value, leaf, `${prefix}${name}.`),
  )
const names = namesIn(access, (value) => 'changes' in value)

/** Commands that only say that they ran, behind the gate. */
function fakeCommands(behind = gate): Group {
  const all: Group = {}
  for (const name of names) {
    const parts = name.split('.')
    let group = all
    for (const part of parts.slice(0, -1)) group = (group[part] ??= {}) as Group
    group[parts.at(-1)!] = async () => done
  }
  return guarded(all as unknown as Commands, behind) as unknown as Group
}
const commands = fakeCommands()

/** What a caller gets: `ran`, or the code of the problem. */
async function answer(name: string, caller: Partial<Principal>): Promise<string> {
  const principal: Principal = { ...operator, kind: 'token', name: 'token:ci', ...caller }
  return answerOf(commands, { name, args: rows[name]!.args, caller: principal })
}

/** Fails if `whyNot` says something else than the command does. */
async function answerOf(
  group: Group,
  { name, args, caller }: { name: string; args: unknown[]; caller: Principal },
): Promise<string> {
  const codeOf = (error: { code: string }) => error.code
  const refused = commandIn(group['whyNot'] as Group, name)(caller, ...args)
  const refusal = await refused.then((why) => (why as Problem | null)?.code ?? 'ran', codeOf)
  const got = await commandIn(group, name)(caller, ...args).then(() => 'ran', codeOf)
  expect(refusal).toBe(got)
  return got
}

function commandIn(group: Group, name: string): (...args: unknown[]) => Promise<unknown> {
  let found: Group[string] = group
  for (const part of name.split('.')) found = (found as Group)[part]!
  return found as (...args: unknown[]) => Promise<unknown>
}

test('the walk knows every command that the gateway opens', () => {
  const opened = openCommands({
    drain: { whileOpen: (command: unknown) => command },
    store: {},
  } as unknown as Parameters<typeof openCommands>[0])
  expect(new Set(names.map((name) => name.split('.')[0]))).toEqual(new Set(Object.keys(opened)))
  expect(new Set(names)).toEqual(new Set(Object.keys(rows)))
})

test.each(names)('%s runs for the scopes that allow it, and for no other', async (name) => {
  for (const scope of Scope.options)
    expect([scope, await answer(name, { scopes: [scope] })]).toEqual([
      scope,
      rows[name]!.scopes.includes(scope) ? 'ran' : 'forbidden',
    ])
  expect(await answer(name, { scopes: [] })).toBe(rows[name]!.anyone ? 'ran' : 'forbidden')
})

test.each(names)('%s is closed to callers of other apps, teams and owners', async (name) => {
  const { wide, filtered, ofTeam, teams = ['acme'] } = rows[name]!
  const scopes = ['admin'] as const
  const isOpen = filtered ? 'ran' : wide ? 'forbidden' : 'ran'
  expect(await answer(name, { scopes, apps: ['shop'], teams })).toBe(isOpen)
  expect(await answer(name, { scopes, apps: ['sh*'] })).toBe(isOpen)
  const closed = filtered ? 'ran' : wide ? 'forbidden' : /-not-found$/
  for (const limit of [{ apps: ['other'] }, { apps: [] }])
    expect(await answer(name, { scopes, ...limit })).toMatch(ofTeam ? 'ran' : closed)
  for (const limit of [{ teams: ['default'] }, { teams: [] }])
    expect(await answer(name, { scopes, ...limit })).toMatch(closed)
  const ofOwner = await answer(name, { scopes, owners: ['alice'] })
  expect(ofOwner).toMatch(
    ['deployments', 'machines.list', 'machines.metrics', 'owners.list', 'uploads.create'].includes(
      name,
    ) || ofTeam
      ? 'ran'
      : closed,
  )
})

const memberships = [null, ['acme'], ['acme', 'default'], ['default'], ['other'], []]

test.each(names)(
  '%s runs for each scope and team that allows it, and for no other',
  async (name) => {
    const { wide, filtered, teams: needed = ['acme'], scopes: allowed } = rows[name]!
    for (const scope of Scope.options)
      for (const teams of memberships) {
        const isIn = teams === null || needed.every((team) => teams.includes(team))
        const mayRun = allowed.includes(scope) && (!wide || teams === null)
        const expected =
          filtered || wide || isIn ? (mayRun ? /^ran$/ : /^forbidden$/) : /-not-found$/
        const got = await answer(name, { scopes: [scope], teams })
        expect(got, `${scope} in ${String(teams)}`).toMatch(expected)
      }
  },
)

test.each(names)(
  '%s makes a new app for the team of its caller only where it creates apps',
  async (name) => {
    const { args, creates, filtered, wide } = rows[name]!
    const made: [string, string[]][] = []
    const open: Gate = {
      ...gate,
      mayCreate: async ({ teams }, { app: fresh }) => fresh === 'shop' && teams?.[0] === 'other',
      around: (call, run) => {
        made.push([call.command, call.newApps])
        return run()
      },
    }
    const caller: Principal = { ...operator, kind: 'token', teams: ['other'] }
    const inOther = args.map((arg) => (arg === 'acme' ? 'other' : arg))
    const got = await answerOf(fakeCommands(open), { name, args: inOther, caller })
    if (filtered || wide) return
    if (name === 'teams.show') return expect(got).toBe('ran')
    expect(got).toMatch(creates ? 'ran' : /-not-found$/)
    // A check makes nothing, and a team that is named gets the app by the command.
    const checks = [
      'refuseBusyLane',
      'assertMayRollOut',
      'teams.addApp',
      'uploads.create',
      ...treeCalls,
    ]
    const isClaimed = creates && !checks.includes(name)
    if (creates) expect(made).toEqual([[name, isClaimed ? ['shop'] : []]])

    const reader: Principal = { ...caller, scopes: ['read'] }
    expect(await answerOf(fakeCommands(open), { name, args: inOther, caller: reader })).toMatch(
      /-not-found$/,
    )
  },
)

const treeCalls = ['trees.send', 'trees.sendPack', 'trees.takeUpload']

test.each(names)(
  '%s: a deploy link may only make its deployment and read that one',
  async (name) => {
    const caller = (deployment: string | null): Partial<Principal> => ({
      scopes: ['deploy'],
      apps: ['shop'],
      link: { id: 'l1', deployment, noteUse: () => {} },
    })
    if (rows[name]!.anyone) return expect(await answer(name, caller(null))).toBe('ran')
    const makes =
      ['submit', 'deploySent', 'deployExisting', 'refuseBusyLane'].includes(name) ||
      /^(?:trees|uploads)\./.test(name)
    const reads = ['deployment', 'logOf'].includes(name)
    expect(await answer(name, caller('of-shop'))).toBe(makes || reads ? 'ran' : 'forbidden')
    const other = reads ? 'deployment-not-found' : makes ? 'ran' : 'forbidden'
    expect([await answer(name, caller(null)), await answer(name, caller('d9'))]).toEqual([
      other,
      other,
    ])
  },
)

test.each(names)('%s is closed once the proof of the caller holds no longer', async (name) => {
  const proof = {
    ended: () => AbortSignal.abort(),
    assertHolds: () => {
      throw new Problem('token-revoked', 'It was revoked.')
    },
  }
  expect(await answer(name, { proof })).toBe('token-revoked')
})

test('a change of secrets that makes releases needs the right to deploy too', async () => {
  const change = commands['runtime'] as Group
  const run = (name: string, scopes: Scope[]) =>
    (change[name] as (...args: unknown[]) => Promise<unknown>)({ ...operator, scopes }, 'shop', {
      deploy: true,
    }).then(
      () => 'ran',
      (error: { code: string }) => error.code,
    )
  for (const name of ['changeSecrets', 'deploySecrets']) {
    expect(await run(name, ['secrets'])).toBe('forbidden')
    expect(await run(name, ['deploy'])).toBe('forbidden')
    expect(await run(name, ['secrets', 'deploy'])).toBe('ran')
  }
})

test('what a caller may not see has the answer of what does not exist', async () => {
  const real = guarded(
    {
      ...(fakeCommands() as unknown as Commands),
      deployment: async () => Promise.reject(new Error('reached')),
    },
    gate,
  )
  const stranger: Principal = { ...operator, apps: ['other'] }
  const problem = await real.deployment(stranger, 'of-shop').catch(String)
  expect(problem).toContain('There is no deployment of-shop.')
})

test('a scope includes what its holder needs to see', () => {
  expect(allows(['deploy'], 'read')).toBe(true)
  expect(allows(['deploy'], 'secrets')).toBe(false)
  expect(allows(['secrets'], 'read')).toBe(false)
  expect(allows([], 'read')).toBe(false)
})

test('apps by name and prefix, owners, and teams limit what a caller sees', () => {
  const of = (limits: Partial<Principal>) => (name: string, owner?: string | null) =>
    sees({ ...operator, ...limits }, { app: name, owner }, () => 'acme')
  expect(of({ apps: ['pr-*'] })('pr-12')).toBe(true)
  expect(of({ apps: ['pr-*'] })('prod')).toBe(false)
  expect(of({ owners: ['alice'] })('shop', 'alice')).toBe(true)
  expect(of({ owners: ['alice'] })('shop', null)).toBe(false)
  expect(of({ owners: ['alice'] })('shop')).toBe(true)
  expect(of({ teams: ['other'] })('shop')).toBe(false)
})

type Sources = { [what: string]: unknown }

/** What a deployment of an existing image in an app answers, for callers of the app `mine`. */
const deployFrom = (source: Sources, owner: string | null, limit: Partial<Principal>) =>
  (commands['deployExisting'] as (...args: unknown[]) => Promise<unknown>)(
    { ...operator, kind: 'token', ...limit },
    source,
    { app: limit.apps?.[0] ?? 'shop', options: { owner } },
  ).then(() => 'ran', String)

test('an image in the repository of an app that the caller may not see is not there', async () => {
  const deploys = { scopes: ['deploy'], apps: ['mine'] } as const
  expect(await deployFrom({ image: 'registry.test/shop:1' }, null, deploys)).toContain(
    'The registry has no registry.test/shop:1.',
  )
  expect(await deployFrom({ image: 'registry.test/mine:1' }, null, deploys)).toBe('ran')
  expect(await deployFrom({ image: 'registry.test/shop:1' }, null, operator)).toBe('ran')
})

test('what another owner deployed is not there for a caller limited to one owner', async () => {
  const alice = { scopes: ['deploy'], apps: ['shop'], owners: ['alice'] } as const
  expect(await deployFrom({ deployment: 'of-shop' }, 'alice', alice)).toContain(
    'There is no deployment of-shop.',
  )
  for (const owner of [null, 'bob'])
    expect(await deployFrom({ release: 1, app: 'shop', owner }, 'alice', alice)).toContain(
      'There is no app shop',
    )
  expect(await deployFrom({ release: 1 }, 'alice', alice)).toBe('ran')
  expect(await deployFrom({ release: 1, app: 'shop', owner: 'alice' }, 'alice', alice)).toBe('ran')
})

test('what does not exist has the answer of what the caller may not see, whatever its scope', async () => {
  for (const name of ['deployment', 'logOf', 'cancel', 'retry', 'rollout', 'cancelRollout'])
    for (const scope of Scope.options)
      for (const id of ['of-shop', 'of-nobody']) {
        const caller: Principal = { ...operator, kind: 'token', scopes: [scope], apps: ['mine'] }
        const got = await answerOf(commands, { name, args: [id, {}], caller })
        expect([name, scope, id, got]).toEqual([
          name,
          scope,
          id,
          expect.stringMatching(/not-found$/),
        ])
      }
  const reader = { scopes: ['read'], apps: ['mine'] } as const
  for (const deployment of ['of-shop', 'of-nobody'])
    expect(await deployFrom({ deployment }, null, reader)).toContain('This needs the scope deploy')
})

test('the app of a preview is seen by the callers of the app that it belongs to, and by no other', async () => {
  const settings = (apps: string[]) =>
    answerOf(commands, {
      name: 'settings',
      args: ['shop-pv-1'],
      caller: { ...operator, kind: 'token', apps },
    })
  expect(await settings(['shop'])).toBe('ran')
  for (const apps of [['shop-*'], ['shop-pv-1'], ['other']])
    expect(await settings(apps)).toBe('app-not-found')
})

test('an owner’s own app is seen by the callers of that owner, and its secrets are theirs', async () => {
  const answer = (name: string, args: unknown[], rights: Partial<Principal>) =>
    answerOf(commands, { name, args, caller: { ...operator, kind: 'token', ...rights } })
  const ada = { apps: ['shop'], owners: ['ada'] }
  expect(await answer('settings', ['shop-ada-ow-1'], ada)).toBe('ran')
  for (const rights of [{ ...ada, owners: ['bob'] }, { apps: ['shop-*'] }])
    expect(await answer('settings', ['shop-ada-ow-1'], rights)).toBe('app-not-found')

  const scopes = ['secrets'] as const
  const change = { deploy: false, values: new Map() }
  const set = (owner: string | null, rights: Partial<Principal>) =>
    answer('runtime.changeSecrets', [{ app: 'shop', owner }, change], { scopes, ...rights })
  expect(await set('ada', ada)).toBe('ran')
  expect([await set('bob', ada), await set(null, ada)]).toEqual(['app-not-found', 'app-not-found'])
})

test('a router needs the rights to the app and to the app of the router', async () => {
  const args = [{ app: 'shop', router: 'shop-router' }, null]
  const asked = (apps: string[]) => {
    const caller: Principal = { ...operator, kind: 'token', name: 'token:ci', apps }
    return answerOf(commands, { name: 'router.deploy', args, caller })
  }
  expect(await asked(['shop', 'shop-router'])).toBe('ran')
  expect(await asked(['shop'])).toBe('app-not-found')
  expect(await asked(['shop-router'])).toBe('app-not-found')
})
