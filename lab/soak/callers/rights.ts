/**
 * Who may do what, written from docs/callers.md and from nothing else. The soak compares each answer
 * of a gateway with it, so it must not share code with one.
 */

export const scopes = ['read', 'deploy', 'secrets', 'preview', 'admin'] as const
export type Scope = (typeof scopes)[number]

export type Rights = {
  scopes: readonly Scope[]
  /** Names, or beginnings of names that end with `*`. Null: all. */
  apps: readonly string[] | null
  owners: readonly string[] | null
  team: string | null
}

/** One secret of a token, and when it stops working: milliseconds since 1970. */
export type Secret = { text: string; until: number }

export type Person = Rights & {
  kind: 'operator' | 'token' | 'link' | 'oidc' | 'proxy'
  /** As teams and the audit trail name it. */
  name: string
  /** Of a token or link: its id. Of others: the name of their rule. */
  id: string
  /** Newest first. Of a token or link alone. */
  secrets: readonly Secret[]
  expiresAt: number
  /** Of a token or link: it was revoked. Of others: their rule was removed. */
  isRevoked: boolean
  /** The id of the token that made it, and the name of the caller. */
  maker: string | null
  createdBy: string
  /** The deployment that a link made. */
  used: string | null
}

/** What the rules are about, at one moment. Nobody changes one: each change makes another. */
export type Model = {
  people: ReadonlyMap<string, Person>
  members: ReadonlyMap<string, ReadonlySet<string>>
  /** The team of each app that somebody has. */
  teamOf: ReadonlyMap<string, string>
  /** Names of callers that were a member of a team at some time. */
  everMembers: ReadonlySet<string>
}

/** `owner` absent: any part of the app. Null: the app as a whole. */
export type Target = { app: string; owner?: string | null; scope?: Scope }

/** What a call is about, in the words of the docs. */
export type Need = {
  scope: Scope
  /** Absent: `lists` or the gateway as a whole. */
  targets?: readonly Target[]
  /** Teams that the caller must be in. */
  teams?: readonly string[]
  /** The answer for what the caller may not see. */
  hidden?: string
  /** A list, of which each caller sees its part; or a command about what the caller made itself. */
  lists?: true
  /** It may make the app. */
  creates?: true
  /** What the holder of a deploy link may do: make its deployment, or read this one. */
  link?: 'makes' | { reads: string }
  /** What else is needed. Returns the answers to a caller that lacks it. */
  unless?: (model: Model, who: string) => string[]
}

/** How a request proves its caller. */
export type Proof =
  | { by: 'secret'; text: string }
  | { by: 'jwt'; fault: 'expired' | 'audience' | null }
  | { by: 'proxy'; isTrusted: boolean }
  | { by: 'nothing' }

export const allowed = 'allowed'

/** The answers that are right: `allowed`, or status and problem code. */
export function rightAnswers(
  model: Model,
  { who, proof, need }: { who: string; proof: Proof; need: Need },
  now: number,
): string[] {
  const person = model.people.get(who)
  if (!person) return ['401 unauthorized']
  const unproved = refusedProof(person, proof, now)
  if (unproved.length > 0) return unproved

  const teams = teamsOf(model, person)
  const hidden = need.hidden ? [`404 ${need.hidden}`] : ['403 forbidden']
  const isIn = teams === null || (need.teams ?? []).every((team) => teams.includes(team))
  if (!isIn) return hidden
  const unseen = (need.targets ?? []).filter((target) => !sees(model, person, teams, target))
  for (const target of unseen.filter(({ scope }) => scope === undefined)) {
    const making = need.creates && mayMake(model, person, teams, { target, need })
    if (making === 'unclear') return ['409 team-unclear']
    if (!making) return hidden
  }
  const needed = [need.scope, ...(need.targets ?? []).flatMap(({ scope }) => scope ?? [])]
  if (!needed.every((scope) => has(person, scope))) return ['403 forbidden']
  // What is only read is looked at by those who may do the rest.
  if (unseen.some(({ scope }) => scope !== undefined)) return hidden
  if (person.kind === 'link') return ofLink(person, need, hidden)

  const isLimited = person.apps !== null || person.owners !== null || teams !== null
  const isWide = !need.targets && !need.teams && !need.lists
  if (isWide && isLimited) return ['403 forbidden']
  const lacks = need.unless?.(model, who) ?? []
  return lacks.length > 0 ? lacks : [allowed]
}

function refusedProof(person: Person, proof: Proof, now: number): string[] {
  if (proof.by === 'nothing') return ['401 unauthorized']
  if (proof.by === 'jwt') {
    if (proof.fault === 'expired') return ['401 oidc-expired']
    if (proof.fault === 'audience') return ['401 oidc-wrong-audience']
    return person.isRevoked ? ['403 oidc-no-rule'] : []
  }
  if (proof.by === 'proxy') {
    if (!proof.isTrusted) return ['401 proxy-untrusted']
    return person.isRevoked ? ['403 proxy-no-rule'] : []
  }
  const secret = person.secrets.find(({ text }) => text === proof.text)
  const wrong: string[] = []
  if (!secret) return ['401 unauthorized']
  // A secret from before the last rotation is not known any more.
  if (person.secrets.indexOf(secret) > 1) wrong.push('401 unauthorized', '401 token-revoked')
  if (person.isRevoked || secret.until <= now) wrong.push('401 token-revoked')
  if (person.expiresAt <= now) wrong.push('401 token-expired')
  return wrong
}

/** Null: all teams. */
export function teamsOf(model: Model, person: Person): string[] | null {
  if (person.kind === 'operator') return null
  if (person.team !== null) return [person.team]
  const own = [...model.members].flatMap(([team, names]) => (names.has(person.name) ? [team] : []))
  if (own.length > 0 || model.everMembers.has(person.name)) return own
  const isAdmin = person.scopes.includes('admin') && person.apps === null && person.owners === null
  return isAdmin ? null : ['default']
}

const names = (rule: string, name: string) =>
  rule.endsWith('*') ? name.startsWith(rule.slice(0, -1)) : rule === name

function isWithinLimits({ apps, owners }: Person, { app, owner }: Target): boolean {
  if (apps !== null && !apps.some((rule) => names(rule, app))) return false
  return owners === null || owner === undefined || (owner !== null && owners.includes(owner))
}

const homeOf = (model: Model, app: string) => model.teamOf.get(app) ?? 'default'

function sees(model: Model, person: Person, teams: string[] | null, target: Target): boolean {
  if (!isWithinLimits(person, target)) return false
  return teams === null || teams.includes(homeOf(model, target.app))
}

/** Whether a caller may see a part of an app. */
export function seesApp(model: Model, who: string, app: string): boolean {
  const person = model.people.get(who)
  return person !== undefined && sees(model, person, teamsOf(model, person), { app })
}

function mayMake(
  model: Model,
  person: Person,
  teams: string[] | null,
  { target, need }: { target: Target; need: Need },
): boolean | 'unclear' {
  const isNew = !model.teamOf.has(target.app)
  const isMember = teams !== null && teams.length > 0
  if (!isNew || !isMember || target.scope !== undefined) return false
  if (!isWithinLimits(person, target) || !has(person, need.scope)) return false
  return teams.length > 1 ? 'unclear' : teams[0] !== 'default'
}

const includes: Record<Scope, readonly Scope[]> = {
  read: ['read'],
  deploy: ['deploy', 'read'],
  secrets: ['secrets'],
  preview: ['preview', 'read'],
  admin: scopes,
}
const has = (person: Rights, scope: Scope) =>
  person.scopes.some((own) => includes[own].includes(scope))

function ofLink(person: Person, { link }: Need, hidden: string[]): string[] {
  const other = ['403 forbidden', ...hidden]
  if (link === undefined) return other
  if (link === 'makes') return person.used === null ? [allowed] : ['409 token-used']
  return person.used === link.reads ? [allowed] : other
}

const isSame = (own: string, asked: string) => own === asked

/** Whether all that is asked for is in what a caller has. Null: all there is. */
const within = (
  own: readonly string[] | null,
  asked: readonly string[] | null,
  covers: (own: string, asked: string) => boolean,
) => own === null || (asked !== null && asked.every((one) => own.some((each) => covers(each, one))))

/** Whether a caller may make a token with these rights, which are complete. */
export function mayGive(
  model: Model,
  who: string,
  wanted: Rights & { expiresAt: number },
): boolean {
  const person = model.people.get(who)!
  const teams = teamsOf(model, person)
  return (
    wanted.scopes.every((scope) => has(person, scope)) &&
    within(person.apps, wanted.apps, (own, asked) =>
      asked.endsWith('*')
        ? own.endsWith('*') && asked.startsWith(own.slice(0, -1))
        : names(own, asked),
    ) &&
    within(person.owners, wanted.owners, isSame) &&
    within(teams, wanted.team === null ? null : [wanted.team], isSame) &&
    wanted.expiresAt <= person.expiresAt
  )
}

/** Whether a caller sees a token: it reaches no further than the caller, or the caller made it. */
export function seesToken(model: Model, who: string, token: Person): boolean {
  const person = model.people.get(who)!
  const reach = { ...token, scopes: person.scopes, expiresAt: -Infinity }
  return token.createdBy === person.name || mayGive(model, who, reach)
}
