/** Changes of rights that the soak makes, one at a time, while other calls run. */
import type { Random } from '../random.ts'
import type { Call, Facts } from './calls.ts'
import {
  mayGive,
  type Model,
  type Need,
  type Person,
  type Rights,
  type Scope,
  seesToken,
  teamsOf,
} from './rights.ts'
import { soakAud, type Answer } from './send.ts'

export type Change = {
  who: string
  call: Call
  /**
   * The model when it has happened. `answer` null: it is not answered yet. `isRepeated`: a killed
   * gateway may have done it once before.
   */
  after: (model: Model, answer: Answer | null, isRepeated: boolean) => Model
  /** What is sent instead when it is sent again. */
  again?: object
  /** What settles a change that a killed gateway did not answer. */
  redo: 'by-operator' | 'by-same' | 'forget'
}

type Kind = (model: Model, more: { facts: Facts; random: Random; who: string }) => Change | null

export const operator = 'operator'
const json = { 'content-type': 'application/json' }
const admin = (more: Partial<Need> = {}): Need => ({ scope: 'admin', ...more })

const call = (
  command: string,
  [method, path, body]: [string, string, object?],
  need: Need,
): Call => ({
  command,
  changes: true,
  method,
  path,
  ...(body && { body, headers: json }),
  need,
})

export const withPerson = (model: Model, key: string, change: Partial<Person>): Model => ({
  ...model,
  people: new Map([...model.people, [key, { ...model.people.get(key)!, ...change }]]),
})

const pick = (model: Model, random: Random, isIt: (person: Person) => boolean): Person | null => {
  const found = [...model.people.values()].filter(isIt)
  return found.length === 0 ? null : random.oneOf(found)
}

const works = (person: Person) =>
  !person.isRevoked && person.expiresAt > Date.now() + 5000 && person.kind !== 'operator'

const revoke: Kind = (model, { random, who }) => {
  const token = pick(model, random, (each) => each.kind === 'token' && works(each))
  if (!token) return null
  const unless = (now: Model, by: string) =>
    seesToken(now, by, now.people.get(token.id)!) ? [] : ['404 token-not-found']
  return {
    who,
    call: call(
      'tokens.revoke',
      ['DELETE', `/v1/tokens/${token.id}`],
      admin({ lists: true, hidden: 'token-not-found', unless }),
    ),
    after: (now) => ({
      ...now,
      people: new Map(
        [...now.people].map(([key, each]) => {
          const isIts = key === token.id || (each.kind === 'link' && each.maker === token.id)
          return [key, isIts ? { ...each, isRevoked: true } : each]
        }),
      ),
    }),
    redo: 'by-operator',
  }
}

const rotate: Kind = (model, { random, who }) => {
  const token = pick(model, random, (each) => each.kind === 'token' && works(each))
  if (!token) return null
  const overlap = random.oneOf(['0s', '1s', '3s'])
  const unless = (now: Model, by: string) => {
    const held = now.people.get(token.id)!
    if (!seesToken(now, by, held)) return ['404 token-not-found']
    return mayGive(now, by, held) ? [] : ['403 forbidden']
  }
  return {
    who,
    call: call(
      'tokens.rotate',
      ['POST', `/v1/tokens/${token.id}/rotate`, { overlap }],
      admin({ lists: true, hidden: 'token-not-found', unless }),
    ),
    again: { overlap: '0s' },
    after(now, answer, isRepeated) {
      const { token: text = '?', oldSecretUntil = null } = answer ? bodyOf(answer) : {}
      const until = oldSecretUntil === null ? -Infinity : Date.parse(oldSecretUntil)
      const [last, ...older] = now.people.get(token.id)!.secrets
      const secrets = [
        { text, until: Infinity },
        ...(isRepeated ? [{ text: 'nobody got it', until: -Infinity }] : []),
        { text: last!.text, until: isRepeated ? -Infinity : until },
        ...older.map((each) => ({ ...each, until: -Infinity })),
      ]
      return withPerson(now, token.id, { secrets })
    },
    redo: 'by-operator',
  }
}

let named = 0
/** Any rights, of teams and apps that exist. */
export function randomRights({ facts, random, teams }: Wanted): Rights {
  const scopes = random.oneOf<Scope[]>([
    ['read'],
    ['deploy'],
    ['deploy'],
    ['secrets'],
    ['deploy', 'secrets'],
    ['read', 'secrets'],
    ['preview'],
    ['admin'],
    ['admin'],
  ])
  const rule = () => {
    const app = random.oneOf(facts.apps)
    return random.fraction() < 0.3 ? `${app.split('-')[0]}-*` : app
  }
  const apps =
    random.fraction() < 0.45 ? null : [...new Set(Array.from({ length: 1 + random.upTo(4) }, rule))]
  const owners = random.fraction() < 0.8 ? null : random.oneOf([['ada'], ['ada', 'bob']])
  const team = random.fraction() < 0.5 ? null : random.oneOf(teams)
  return { scopes, apps, owners, team }
}
type Wanted = { facts: Facts; random: Random; teams: string[] }

const createToken: Kind = (model, { facts, random, who }) => {
  const teams = [...model.members.keys()]
  const name = `p${++named}`
  const life = random.fraction() < 0.3 ? '60s' : '1h'
  const maker = model.people.get(who)!
  const rights = randomRights({ facts, random, teams })
  // What a request leaves out is as for its maker.
  const own = teamsOf(model, maker)
  const complete: Rights = {
    scopes: rights.scopes,
    apps: rights.apps ?? maker.apps,
    owners: rights.owners ?? maker.owners,
    team: rights.team ?? (own?.length === 1 ? own[0]! : null),
  }
  const lifeMs = life === '60s' ? 60_000 : 3_600_000
  const unless = (now: Model, by: string) =>
    mayGive(now, by, { ...complete, expiresAt: Date.now() + lifeMs }) ? [] : ['403 forbidden']
  return {
    who,
    call: call(
      'tokens.create',
      ['POST', '/v1/tokens', { name, ...rights, expires: life }],
      admin({ lists: true, unless }),
    ),
    after(now, answer) {
      if (!answer) return now
      const { id, token: text = '', expiresAt = null } = bodyOf(answer)
      const person: Person = {
        ...complete,
        kind: 'token',
        name: `token:${complete.team === null ? '' : `${complete.team}/`}${name}`,
        id,
        secrets: [{ text, until: Infinity }],
        expiresAt: expiresAt === null ? Infinity : Date.parse(expiresAt),
        isRevoked: false,
        maker: maker.kind === 'token' ? maker.id : null,
        createdBy: maker.name,
        used: null,
      }
      return { ...now, people: new Map([...now.people, [id, person]]) }
    },
    redo: 'forget',
  }
}

const makeLink: Kind = (model, { facts, random, who }) => {
  const maker = model.people.get(who)!
  const app = random.oneOf(facts.apps)
  const owner = random.oneOf(facts.owners)
  // A link that would live longer than its maker is refused.
  if (maker.expiresAt < Date.now() + 70_000) return null
  return {
    who,
    call: call(
      'tokens.createLink',
      ['POST', `/v1/apps/${app}/deploy-link`, { ...(owner && { owner }), expires: '60s' }],
      { scope: 'deploy', targets: [{ app, owner }], hidden: 'app-not-found' },
    ),
    after(now, answer) {
      if (!answer) return now
      const { id, token: text = '', expiresAt = null } = bodyOf(answer)
      const team = now.teamOf.get(app) ?? 'default'
      const person: Person = {
        kind: 'link',
        name: `token:${team}/link-${id}`,
        id,
        scopes: ['deploy'],
        apps: [app],
        owners: owner === null ? null : [owner],
        team,
        secrets: [{ text, until: Infinity }],
        expiresAt: Date.parse(expiresAt!),
        isRevoked: false,
        maker: maker.kind === 'token' ? maker.id : null,
        createdBy: maker.name,
        used: null,
      }
      return { ...now, people: new Map([...now.people, [id, person]]) }
    },
    redo: 'forget',
  }
}

const useLink: Kind = (model, { facts, random }) => {
  const link = pick(model, random, (each) => each.kind === 'link' && works(each) && !each.used)
  if (!link) return null
  const [target] = [{ app: link.apps![0]!, owner: link.owners?.[0] ?? null }]
  const request = call(
    'deployExisting',
    [
      'POST',
      `/v1/apps/${target.app}/deployments`,
      { source: { image: facts.image }, ...(target.owner && { owner: target.owner }) },
    ],
    { scope: 'deploy', targets: [target], hidden: 'app-not-found', creates: true, link: 'makes' },
  )
  const headers = { ...json, 'idempotency-key': `link-${link.id}` }
  return {
    who: link.id,
    call: { ...request, headers, makes: target },
    after: (now, answer) =>
      withPerson(now, link.id, { used: answer ? bodyOf(answer).id : 'under way' }),
    redo: 'by-same',
  }
}

const withMembers = (model: Model, team: string, change: (names: Set<string>) => void): Model => {
  const names = new Set(model.members.get(team))
  change(names)
  return {
    ...model,
    members: new Map([...model.members, [team, names]]),
    everMembers: new Set([...model.everMembers, ...names]),
  }
}

const memberPath = (team: string, name: string) =>
  `/v1/teams/${team}/members/${encodeURIComponent(name)}`

const addMember: Kind = (model, { random, who }) => {
  const person = pick(model, random, (each) => works(each) && each.kind !== 'link')
  if (!person) return null
  const team = random.oneOf([...model.members.keys()])
  return {
    who,
    call: call('teams.addMember', ['PUT', memberPath(team, person.name)], admin()),
    after: (now) => withMembers(now, team, (names) => names.add(person.name)),
    redo: 'by-operator',
  }
}

const removeMember: Kind = (model, { random, who }) => {
  const filled = [...model.members].filter(([, names]) => names.size > 0)
  if (filled.length === 0) return null
  const [team, names] = random.oneOf(filled)
  const name = random.oneOf([...names])
  return {
    who,
    call: call('teams.removeMember', ['DELETE', memberPath(team, name)], admin()),
    after: (now) => withMembers(now, team, (each) => each.delete(name)),
    redo: 'by-operator',
  }
}

const moveApp: Kind = (model, { facts, random, who }) => {
  const app = random.oneOf(facts.apps)
  const team = random.oneOf([...model.members.keys()])
  return {
    who,
    call: call(
      'teams.addApp',
      ['PUT', `/v1/teams/${team}/apps/${app}`],
      admin({ teams: [team], targets: [{ app, owner: null }], hidden: 'app-not-found' }),
    ),
    after: (now) => ({ ...now, teamOf: new Map([...now.teamOf, [app, team]]) }),
    redo: 'by-operator',
  }
}

const removeApp: Kind = (model, { facts, random, who }) => {
  const app = random.oneOf(facts.apps)
  const team = model.teamOf.get(app) ?? 'default'
  if (team === 'default') return null
  return {
    who,
    call: call(
      'teams.removeApp',
      ['DELETE', `/v1/teams/${team}/apps/${app}`],
      admin({ teams: [team, 'default'], targets: [{ app, owner: null }], hidden: 'app-not-found' }),
    ),
    after: (now) => ({ ...now, teamOf: new Map([...now.teamOf, [app, 'default']]) }),
    redo: 'by-operator',
  }
}

/** The rule of a person of an issuer or a proxy. */
export function ruleOf(person: Person, issuer: string): object {
  const { id, kind, scopes, apps, owners, team, name } = person
  const claims = kind === 'oidc' ? { sub: [id] } : { login: [name.replace('tailscale-user:', '')] }
  const from = kind === 'oidc' ? { issuer, aud: soakAud } : { issuer: 'tailscale' }
  return { name: id, ...from, claims, scopes, apps, owners, team }
}

const hasRule = ({ kind }: Person) => kind === 'oidc' || kind === 'proxy'

const removeRule: Kind = (model, { random, who }) => {
  const person = pick(model, random, (each) => hasRule(each) && !each.isRevoked)
  if (!person) return null
  return {
    who,
    call: call('rules.remove', ['DELETE', `/v1/rules/${encodeURIComponent(person.id)}`], admin()),
    after: (now) => withPerson(now, person.id, { isRevoked: true }),
    redo: 'by-operator',
  }
}

const addRule: Kind = (model, { facts, random, who }) => {
  const person = pick(model, random, (each) => hasRule(each) && each.isRevoked)
  if (!person) return null
  return {
    who,
    call: call('rules.add', ['POST', '/v1/rules', ruleOf(person, facts.issuer)], admin()),
    after: (now) => withPerson(now, person.id, { isRevoked: false }),
    redo: 'by-operator',
  }
}

const newApp: Kind = (model, { facts, random, who }) => {
  const maker = model.people.get(who)!
  if (maker.kind === 'link') return null
  const app = `${random.oneOf(['red', 'blue', 'green', 'grey'])}-app-${1000 + facts.number()}`
  const request = call(
    'deployExisting',
    ['POST', `/v1/apps/${app}/deployments`, { source: { image: facts.image } }],
    {
      scope: 'deploy',
      targets: [{ app, owner: null }],
      hidden: 'app-not-found',
      creates: true,
      link: 'makes',
    },
  )
  const headers = { ...json, 'idempotency-key': `new-${app}` }
  return {
    who,
    call: { ...request, headers, makes: { app, owner: null } },
    after(now) {
      const teams = teamsOf(now, maker)
      return { ...now, teamOf: new Map([...now.teamOf, [app, teams?.[0] ?? 'default']]) }
    },
    redo: 'by-same',
  }
}

const bodyOf = ({ text }: Answer) =>
  JSON.parse(text) as {
    id: string
    token?: string
    expiresAt?: string | null
    oldSecretUntil?: string | null
  }

const kinds: [share: number, kind: Kind][] = [
  [3, revoke],
  [4, rotate],
  [4, createToken],
  [4, makeLink],
  [4, useLink],
  [4, addMember],
  [4, removeMember],
  [4, moveApp],
  [2, removeApp],
  [2, removeRule],
  [3, addRule],
  [1, newApp],
]
const all = kinds.flatMap(([share, kind]) => Array.from({ length: share }, () => kind))

/** A change by somebody: often by the operator, so that it happens. */
export function randomChange(
  model: Model,
  { facts, random, keep }: { facts: Facts; random: Random; keep: number },
): Change | null {
  const alive = [...model.people.values()].filter(works).length
  const kind = alive < keep ? random.oneOf([createToken, createToken, addRule]) : random.oneOf(all)
  const person = random.oneOf([...model.people.values()])
  const isMade = kind === makeLink || kind === newApp
  const who = random.fraction() < (isMade ? 0.2 : 0.65) ? operator : person.id
  return kind(model, { facts, random, who })
}
