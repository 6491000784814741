/** The calls that the soak makes at random, with what each needs of its caller. */
import type { Random } from '../random.ts'
import type { Need, Target } from './rights.ts'

export type Call = {
  /** As the audit trail names it. */
  command: string
  changes: boolean
  method: string
  path: string
  body?: object | Uint8Array<ArrayBuffer>
  headers?: Record<string, string>
  need: Need
  /** The answer holds only what the caller may see. */
  check?: 'apps'
  /** What an accepted call makes. */
  makes?: { app: string; owner: string | null } | { rollout: Target[] }
  /** A deployment that an accepted call may stop. */
  cancels?: string
  /** Only callers without the right make it. */
  isForbidden?: true
  /** The answer is a log that goes on. */
  follows?: true
}

/** What exists. The soak adds what callers make. */
export class Facts {
  readonly apps: string[]
  readonly owners = [null, null, null, 'ada', 'bob'] as const
  readonly deployments: { id: string; app: string; owner: string | null }[] = []
  readonly rollouts: { id: string; targets: Target[] }[] = []
  readonly machines = new Map<string, string>()
  readonly archive: Uint8Array<ArrayBuffer>
  /** An image that every caller may name, and the address of the OIDC issuer. */
  image = ''
  issuer = ''
  #made = 0

  constructor(apps: string[], archive: Uint8Array<ArrayBuffer>) {
    this.apps = apps
    this.archive = archive
  }

  number(): number {
    return ++this.#made
  }
}

type Maker = (facts: Facts, random: Random) => Call

const json = { 'content-type': 'application/json' }

/** A read of one app. */
const get =
  (command: string, path: string, need: Partial<Need> & { whole: boolean }): Maker =>
  (facts, random) => {
    const { whole, scope = 'read' } = need
    const app = random.oneOf(facts.apps)
    const targets = [{ app, ...(whole && { owner: null }) }]
    return {
      command,
      changes: false,
      method: 'GET',
      path: path.replace('APP', app),
      need: { scope, targets, hidden: 'app-not-found' },
    }
  }

/** A change of an app as a whole. */
const change =
  (
    command: string,
    path: (app: string, n: number) => [method: string, path: string, body?: object],
    { scopes }: { scopes: Need['scope'][] },
  ): Maker =>
  (facts, random) => {
    const app = random.oneOf(facts.apps)
    const [method, at, body] = path(app, facts.number())
    const [scope = 'admin', ...more] = scopes
    const targets = [
      { app, owner: null },
      ...more.map((other) => ({ app, owner: null, scope: other })),
    ]
    return {
      command,
      changes: true,
      method,
      path: at,
      ...(body && { body, headers: json }),
      need: { scope, targets, hidden: 'app-not-found' },
    }
  }

/** A list, or something about the gateway as a whole. */
const wide =
  (command: string, path: string, need: Need): Maker =>
  () => ({
    command,
    changes: false,
    method: 'GET',
    path,
    need,
    ...(need.lists && { check: 'apps' as const }),
  })

const ofDeployment =
  (command: string, tail: string, more: Partial<Call> = {}): Maker =>
  (facts, random) => {
    const { id, app, owner } = random.oneOf(facts.deployments.slice(-60))
    return {
      command,
      changes: false,
      method: 'GET',
      path: `/v1/deployments/${id}${tail}`,
      need: {
        scope: 'read',
        targets: [{ app, owner }],
        hidden: 'deployment-not-found',
        link: { reads: id },
      },
      ...more,
    }
  }

const deployExisting: Maker = (facts, random) => {
  const [app, from] = [random.oneOf(facts.apps), random.oneOf(facts.apps)]
  const owner = random.oneOf(facts.owners)
  const source = { release: 1, app: random.fraction() < 0.6 ? app : from }
  const target = { app, owner }
  const reads: Target[] = source.app === app ? [] : [{ app: from, owner: null, scope: 'read' }]
  return {
    command: 'deployExisting',
    changes: true,
    method: 'POST',
    path: `/v1/apps/${app}/deployments`,
    headers: { ...json, 'idempotency-key': `key-${facts.number()}` },
    body: { source, ...(owner && { owner }), env: { N: String(facts.number()) } },
    need: {
      scope: 'deploy',
      targets: [target, ...reads],
      hidden: 'app-not-found',
      creates: true,
      link: 'makes',
    },
    makes: target,
  }
}

const submit: Maker = (facts, random) => {
  const [app, owner] = [random.oneOf(facts.apps), random.oneOf(facts.owners)]
  return {
    command: 'submit',
    changes: true,
    method: 'POST',
    path: `/v1/apps/${app}/deployments?${owner ? `owner=${owner}&` : ''}deploy=${random.fraction() < 0.5}`,
    headers: { 'content-type': 'application/gzip' },
    body: facts.archive,
    need: {
      scope: 'deploy',
      targets: [{ app, owner }],
      hidden: 'app-not-found',
      creates: true,
      link: 'makes',
    },
    makes: { app, owner },
  }
}

const rollout: Maker = (facts, random) => {
  const targets = Array.from({ length: 1 + random.upTo(2) }, () => ({
    app: random.oneOf(facts.apps),
    owner: random.oneOf(facts.owners),
  }))
  const unique = [...new Map(targets.map((each) => [`${each.app} ${each.owner}`, each])).values()]
  const from = unique[0]!.app
  return {
    command: 'createRollout',
    changes: true,
    method: 'POST',
    path: '/v1/rollouts',
    headers: json,
    body: {
      source: { release: 1, app: from },
      targets: unique.map((each) => ({ app: each.app, ...(each.owner && { owner: each.owner }) })),
    },
    need: { scope: 'deploy', targets: unique, hidden: 'app-not-found', creates: true },
    makes: { rollout: unique },
  }
}

const ofRollout =
  (command: string, [method, tail]: [string, string]): Maker =>
  (facts, random) => {
    const known = facts.rollouts.slice(-10)
    if (known.length === 0) return rollout(facts, random)
    const { id, targets } = random.oneOf(known)
    return {
      command,
      changes: method !== 'GET',
      method,
      path: `/v1/rollouts/${id}${tail}`,
      need: {
        scope: method === 'GET' ? 'read' : 'deploy',
        targets,
        hidden: 'rollout-not-found',
      },
    }
  }

const rollback: Maker = (facts, random) => {
  const app = random.oneOf(facts.apps)
  return {
    command: 'rollback',
    changes: true,
    method: 'POST',
    path: `/v1/apps/${app}/rollback?release=1`,
    need: { scope: 'deploy', targets: [{ app, owner: null }], hidden: 'app-not-found' },
    makes: { app, owner: null },
  }
}

const cancel: Maker = (facts, random) => {
  const { id, app, owner } = random.oneOf(facts.deployments.slice(-8))
  return {
    command: 'cancel',
    changes: true,
    method: 'POST',
    path: `/v1/deployments/${id}/cancel`,
    need: { scope: 'deploy', targets: [{ app, owner }], hidden: 'deployment-not-found' },
    cancels: id,
  }
}

const retry: Maker = (facts, random) => {
  const { id, app, owner } = random.oneOf(facts.deployments.slice(-60))
  return {
    command: 'retry',
    changes: true,
    method: 'POST',
    path: `/v1/deployments/${id}/retry?reuse-image=true`,
    need: { scope: 'deploy', targets: [{ app, owner }], hidden: 'deployment-not-found' },
    makes: { app, owner },
  }
}

const restartMachine: Maker = (facts, random) => {
  const [app, machine] = random.oneOf([...facts.machines])
  return {
    command: 'machines.change',
    changes: true,
    method: 'POST',
    path: `/v1/apps/${app}/machines/${machine}/restart`,
    need: { scope: 'deploy', targets: [{ app, owner: null }], hidden: 'app-not-found' },
  }
}

const release: Maker = (facts, random) => {
  const [app, owner] = [random.oneOf(facts.apps), random.oneOf(facts.owners)]
  return {
    command: 'releases',
    changes: false,
    method: 'GET',
    path: `/v1/apps/${app}/releases${owner ? `?owner=${owner}` : ''}`,
    need: { scope: 'read', targets: [{ app, owner }], hidden: 'app-not-found' },
  }
}

/** Only for callers that lack the right: the others would delete what the soak needs. */
const deleteApp: Maker = (facts, random) => {
  const app = random.oneOf(facts.apps)
  return {
    command: 'deleteApp',
    changes: true,
    method: 'DELETE',
    path: `/v1/apps/${app}?confirm=${app}`,
    need: { scope: 'admin', targets: [{ app, owner: null }], hidden: 'app-not-found' },
    isForbidden: true,
  }
}

/** Only for callers that lack the right: `npm run soak -- callers` makes no previews. */
const makePreview: Maker = (facts, random) => {
  const [app, owner] = [random.oneOf(facts.apps), random.oneOf(['ada', 'bob'])]
  return {
    command: 'previews.create',
    changes: true,
    method: 'POST',
    path: '/v1/previews',
    headers: json,
    body: { app, owner, source: { release: 1, app }, ttlSeconds: 600 },
    need: { scope: 'preview', targets: [{ app, owner }], hidden: 'app-not-found' },
    isForbidden: true,
  }
}

const lists = (scope: Need['scope']): Need => ({ scope, lists: true })

/** Each with its share of all calls. */
const makers: [share: number, make: Maker][] = [
  [6, wide('overview.apps', '/v1/apps?limit=100', lists('read'))],
  [6, wide('overview.deployments', '/v1/deployments?limit=30', lists('read'))],
  [3, wide('rollouts', '/v1/rollouts', lists('read'))],
  [3, wide('status', '/v1/status', lists('read'))],
  [2, wide('cacheUsage', '/v1/cache', lists('read'))],
  [2, wide('limits.read', '/v1/limits', lists('read'))],
  [3, wide('teams.list', '/v1/teams', lists('read'))],
  [3, wide('audit.list', '/v1/audit?limit=30', lists('admin'))],
  [2, wide('drain.status', '/v1/drain', { scope: 'read' })],
  [2, wide('rules.list', '/v1/rules', { scope: 'admin' })],
  [8, get('deployments', '/v1/apps/APP/deployments', { whole: false })],
  [4, get('machines.list', '/v1/apps/APP/machines', { whole: false })],
  [4, get('settings', '/v1/apps/APP', { whole: true })],
  [2, get('drift', '/v1/apps/APP/drift', { whole: true })],
  [4, get('release', '/v1/apps/APP/releases/1', { whole: true })],
  [2, get('releaseDiff', '/v1/apps/APP/releases/1/diff/1', { whole: true })],
  [4, get('secrets', '/v1/apps/APP/secrets', { whole: true, scope: 'secrets' })],
  [3, get('runtime.secrets', '/v1/apps/APP/runtime-secrets', { whole: true, scope: 'secrets' })],
  [3, get('runtime.env', '/v1/apps/APP/env', { whole: true })],
  [4, release],
  [8, ofDeployment('deployment', '')],
  [3, ofDeployment('logOf', '/log')],
  [
    4,
    ofDeployment('logOf', '/events', {
      follows: true,
      headers: { accept: 'application/x-ndjson' },
    }),
  ],
  [3, ofRollout('rollout', ['GET', ''])],
  [1, ofRollout('cancelRollout', ['POST', '/cancel'])],
  [8, deployExisting],
  [2, submit],
  [3, rollout],
  [1, rollback],
  [1, retry],
  [2, cancel],
  [1, restartMachine],
  [
    4,
    change('putSecret', (app, n) => ['PUT', `/v1/apps/${app}/secrets/S${n % 20}`, { n }], {
      scopes: ['secrets'],
    }),
  ],
  [
    2,
    change(
      'changeBuildSecrets',
      (app, n) => ['PATCH', `/v1/apps/${app}/secrets`, { values: { [`T${n % 9}`]: `${n}` } }],
      { scopes: ['secrets'] },
    ),
  ],
  [
    3,
    change(
      'runtime.changeSecrets',
      (app, n) => [
        'PATCH',
        `/v1/apps/${app}/runtime-secrets`,
        { values: { [`R${n % 9}`]: `${n}` }, deploy: false },
      ],
      { scopes: ['secrets'] },
    ),
  ],
  [
    1,
    change('runtime.deploySecrets', (app) => ['POST', `/v1/apps/${app}/runtime-secrets/deploy`], {
      scopes: ['secrets', 'deploy'],
    }),
  ],
  [
    2,
    change(
      'runtime.changeEnv',
      (app, n) => ['PATCH', `/v1/apps/${app}/env`, { values: { [`E${n % 9}`]: `${n}` } }],
      { scopes: ['deploy'] },
    ),
  ],
  [
    2,
    change('changeSettings', (app, n) => ['PATCH', `/v1/apps/${app}`, { builds: 1 + (n % 4) }], {
      scopes: ['deploy'],
    }),
  ],
  [1, change('removeCache', (app) => ['DELETE', `/v1/apps/${app}/cache`], { scopes: ['deploy'] })],
  [1, deleteApp],
  [2, makePreview],
  [2, wide('previews.list', '/v1/previews', lists('read'))],
  [2, get('templates.list', '/v1/apps/APP/templates', { whole: true })],
  [
    1,
    change(
      'templates.set',
      (app) => ['PUT', `/v1/apps/${app}/templates/small`, { config: 'kill_timeout = 5' }],
      { scopes: ['admin'] },
    ),
  ],
]
const total = makers.reduce((sum, [share]) => sum + share, 0)

export function randomCall(facts: Facts, random: Random): Call {
  let left = random.fraction() * total
  for (const [share, make] of makers) {
    left -= share
    if (left < 0) return make(facts, random)
  }
  return makers[0]![1](facts, random)
}
