import {
  type MadeToken,
  type NewToken,
  type RevokedToken,
  type Rotation,
  type TokenFacts,
  tokenIdIn,
} from '#api/callers/token.ts'
import type { AddedRule, NewRule } from '#api/callers/rule.ts'
import type { NewCancelRequest } from '#api/deployment.ts'
import type { DeleteRequest } from '../delete-app.ts'
import type { RetryHow } from '../retry.ts'
import type { Lookups, Recorded } from './row.ts'

// What the audit trail keeps of the arguments of some commands: names and numbers, and never the
// value of a secret or a token.

type Submission = {
  source: { digest: string }
  secrets: ReadonlyMap<string, unknown>
  options: { trigger: string | null }
}
type Change = { values: ReadonlyMap<string, string | null>; deploy: boolean }

/** For commands about a team: the state of what changes, before and after. */
function ofTeam<A>(
  what: string,
  stateOf: (teams: Lookups['teams'], value: A, team: string) => object | null,
): Recorded<[string, A], unknown> {
  return {
    asked: ([team, value]) => ({ team, [what]: value }),
    before: ([team, value], { teams }) => stateOf(teams, value, team),
    after: (_result, [team, value], { teams }) => stateOf(teams, value, team),
  }
}
export const ofMember = ofTeam<string>('member', (teams, member) => ({
  teams: teams.teamsOf(member) ?? [],
}))
export const ofTeamApp = ofTeam<string>('app', (teams, app) => ({ teamOfApp: teams.teamOf(app) }))
export const ofQuotas = ofTeam<unknown>(
  'quotas',
  (teams, _patch, team) => teams.find(team)?.quotas ?? null,
)
export const ofTeamName = { asked: ([team]: [string]) => ({ team }) }

export const ofNewRule: Recorded<[NewRule], AddedRule> = {
  asked: ([{ name }]) => ({ name }),
  after: (rule) => ({ ...rule, name: null, notes: null }),
}
export const ofRemovedRule: Recorded<[string], void> = {
  asked: ([name]) => ({ name }),
  before: ([name], find) => find.rule(name),
  after: () => null,
}

export const ofSubmission = {
  asked: ([{ source, secrets, options }]: [Submission]) => ({
    source: source.digest,
    trigger: options.trigger,
    secrets: [...secrets.keys()],
  }),
}

export const ofSentSubmission = {
  asked: ([{ source, secrets, options }]: [Omit<Submission, 'source'> & { source: object }]) => ({
    source,
    trigger: options.trigger,
    secrets: [...secrets.keys()],
  }),
}

export const ofCancel = {
  asked: ([id, request]: [string, NewCancelRequest]) => ({ id, ...request }),
  made: () => null,
}

/** For commands whose second argument is the name of a secret. */
export const ofName = { asked: ([_app, name]: [string, string, ...unknown[]]) => ({ name }) }

/** Secrets or variables: their names alone. */
export const ofChange = {
  asked([_target, { values, deploy }]: [unknown, Change]) {
    const names = [...values.keys()]
    return {
      set: names.filter((name) => values.get(name) !== null),
      unset: names.filter((name) => values.get(name) === null),
      deploy,
    }
  },
}

type Token = Pick<TokenFacts, 'scopes' | 'apps' | 'owners' | 'team' | 'expiresAt'>
const rights = ({ scopes, apps, owners, team, expiresAt }: Token) => ({
  scopes,
  apps,
  owners,
  team,
  expiresAt,
})

export const ofNewToken: Recorded<[NewToken], MadeToken> = {
  asked: ([{ name, scopes, apps }]) => ({ name, scopes, apps }),
  after: rights,
}
export const ofNewLink = {
  asked: ([_target, { expires }]: [unknown, { expires: string }]) => ({ expires }),
  after: rights,
}
/** A token may be named by its own text. Its id is enough. */
const askedToken = ([token]: [string, ...unknown[]]) => ({ token: tokenIdIn(token) ?? token })
export const ofRevoked: Recorded<[string], RevokedToken> = {
  asked: askedToken,
  after: ({ id, name, state }) => ({ id, name, state }),
  made: () => null,
}
export const ofRotated: Recorded<[string, Rotation], MadeToken> = {
  asked: askedToken,
  after: ({ id, name, expiresAt, oldSecretUntil }) => ({ id, name, expiresAt, oldSecretUntil }),
  made: () => null,
}

export const ofRollback = {
  asked: ([{ release }]: [{ release: number | null }]) => ({ release }),
}
export const ofRetry = {
  asked: ([deployment, { reuseImage, rebuild }]: [string, RetryHow]) => ({
    deployment,
    reuseImage,
    ...(rebuild && { rebuild }),
  }),
}
export const ofDeletedApp = {
  asked: ([_app, { foreign }]: [string, DeleteRequest]) => ({ foreign }),
}
