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
const rows: Record<string, { args: unknown[]; scopes: Scope[]; wide?: true; filtered?: true }> = {
  submit: { args: [app], scopes: ['deploy', 'admin'] },
  deployExisting: { args: [{ image: 'nginx' }, app], scopes: ['deploy', 'admin'] },
  rollback: { args: [app], scopes: ['deploy', 'admin'] },
  retry: { args: ['of-shop'], scopes: ['deploy', 'admin'] },
  cancel: { args: ['of-shop'], scopes: ['deploy', 'admin'] },
  refuseBusyLane: { args: [app], scopes: ['deploy', 'admin'] },
  deployment: { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  logOf: { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
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
  status: { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], wide: true },
  doctor: { args: [{}], scopes: ['admin'], wide: true },
  'machines.list': { args: ['shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  'machines.change': { args: ['shop', 'm1', 'stop'], scopes: ['deploy', 'admin'] },
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
  drift: { args: ['shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  deleteApp: { args: ['shop', false], scopes: ['admin'] },
  cacheUsage: { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  removeCache: { args: ['shop'], scopes: ['deploy', 'admin'] },
  settings: { args: ['shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  changeSettings: { args: ['shop', {}], scopes: ['deploy', 'admin'] },
  secrets: { args: ['shop'], scopes: ['secrets', 'admin'] },
  changeBuildSecrets: { args: ['shop', new Map()], scopes: ['secrets', 'admin'] },
  'runtime.secrets': { args: ['shop'], scopes: ['secrets', 'admin'] },
  'runtime.changeSecrets': { args: ['shop', { deploy: false }], scopes: ['secrets', 'admin'] },
  'runtime.deploySecrets': { args: ['shop'], scopes: ['admin'] },
  'runtime.env': { args: ['shop'], scopes: ['secrets', 'admin'] },
  'runtime.changeEnv': { args: ['shop', { deploy: false }], scopes: ['secrets', 'admin'] },
  putSecret: { args: ['shop', 'KEY'], scopes: ['secrets', 'admin'] },
  deleteSecret: { args: ['shop', 'KEY'], scopes: ['secrets', 'admin'] },
  'tokens.create': { args: [{}], scopes: ['admin'], filtered: true },
  'tokens.createLink': { args: [{ app: 'shop', owner: null }, {}], scopes: ['deploy', 'admin'] },
  'tokens.find': { args: ['ci'], scopes: ['admin'], filtered: true },
  'tokens.list': { args: [{}], scopes: ['admin'], filtered: true },
  'tokens.revoke': { args: ['ci'], scopes: ['admin'], filtered: true },
  'tokens.rotate': { args: ['ci', {}], scopes: ['admin'], filtered: true },
  'drain.start': { args: [1], scopes: ['admin'], wide: true },
  'drain.status': { args: [], scopes: ['read', 'deploy', 'preview', 'admin'], wide: true },
  'drain.end': { args: [], scopes: ['admin'], wide: true },
  'records.backup': { args: [], scopes: ['admin'], wide: true },
  'records.assertDrained': { args: [], scopes: ['admin'], wide: true },
  'records.restore': { args: [{}], scopes: ['admin'], wide: true },
  'audit.list': { args: [{}, {}], scopes: ['admin'], filtered: true },
  assertMayRollOut: { args: [[app]], scopes: ['deploy', 'admin'] },
  createRollout: { args: [{ source: null, targets: [app] }, null], scopes: ['deploy', 'admin'] },
  rollout: { args: ['of-shop'], scopes: ['read', 'deploy', 'preview', 'admin'] },
  rollouts: { args: [{}], scopes: ['read', 'deploy', 'preview', 'admin'], filtered: true },
  cancelRollout: { args: ['of-shop'], scopes: ['deploy', 'admin'] },
}

const done = Object.assign([], { entries: [], deployments: [], apps: [], rollouts: [], next: null })
const gate: Gate = {
  find: {
    deployment: async (id) => (id === 'of-shop' ? { app: 'shop', owner: null } : null),
    rollout: async (id) => (id === 'of-shop' ? [{ app: 'shop', owner: null }] : null),
    settings: async () => ({}),
  },
  teamOf: (name) => (name === 'shop' ? 'acme' : 'default'),
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
function fakeCommands(): Group {
  const all: Group = {}
  for (const name of names) {
    const parts = name.split('.')
    let group = all
    for (const part of parts.slice(0, -1)) group = (group[part] ??= {}) as Group
    group[parts.at(-1)!] = async () => done
  }
  return guarded(all as unknown as Commands, gate) as unknown as Group
}
const commands = fakeCommands()

/** What a caller gets: `ran`, or the code of the problem. */
async function answer(name: string, caller: Partial<Principal>): Promise<string> {
  let found: unknown = commands
  for (const part of name.split('.')) found = (found as Group)[part]
  const command = found as (...args: unknown[]) => Promise<unknown>
  const principal: Principal = { ...operator, kind: 'token', name: 'token:ci', ...caller }
  return command(principal, ...rows[name]!.args).then(
    () => 'ran',
    (error: { code: string }) => error.code,
  )
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
  expect(await answer(name, { scopes: [] })).toBe('forbidden')
})

test.each(names)('%s is closed to callers of other apps, teams and owners', async (name) => {
  const { wide, filtered } = rows[name]!
  const scopes = ['admin'] as const
  const isOpen = filtered ? 'ran' : wide ? 'forbidden' : 'ran'
  expect(await answer(name, { scopes, apps: ['shop'], teams: ['acme'] })).toBe(isOpen)
  expect(await answer(name, { scopes, apps: ['sh*'] })).toBe(isOpen)
  for (const limit of [{ apps: ['other'] }, { apps: [] }, { teams: ['default'] }, { teams: [] }])
    expect(await answer(name, { scopes, ...limit })).toMatch(
      filtered ? 'ran' : wide ? 'forbidden' : /-not-found$/,
    )
  const ofOwner = await answer(name, { scopes, owners: ['alice'] })
  expect(ofOwner).toMatch(
    filtered || ['deployments', 'machines.list'].includes(name)
      ? 'ran'
      : wide
        ? 'forbidden'
        : /-not-found$/,
  )
})

test.each(names)(
  '%s: a deploy link may only make its deployment and read that one',
  async (name) => {
    const caller = (deployment: string | null): Partial<Principal> => ({
      scopes: ['deploy'],
      apps: ['shop'],
      link: { id: 'l1', deployment, noteUse: () => {} },
    })
    const makes = ['submit', 'deployExisting', 'refuseBusyLane'].includes(name)
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

test('a change that makes releases needs the right to deploy too', async () => {
  const change = commands['runtime'] as Group
  const run = (name: string, scopes: Scope[]) =>
    (change[name] as (...args: unknown[]) => Promise<unknown>)({ ...operator, scopes }, 'shop', {
      deploy: true,
    }).then(
      () => 'ran',
      (error: { code: string }) => error.code,
    )
  for (const name of ['changeSecrets', 'changeEnv', 'deploySecrets']) {
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
