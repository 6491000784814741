import {
  type MadeToken,
  type NewDeployLink,
  type NewToken,
  type RevokedToken,
  type Rotation,
  type TokenFacts,
  tokenLimits,
  type TokenPage,
  usualLife,
} from '#api/callers/token.ts'
import { endOf, secondsOf } from '#api/callers/lifetime.ts'
import { Problem } from '#api/problem.ts'
import type { NewStoredToken } from '../../deployments/callers/token-store.ts'
import type { PageRequest } from '../../deployments/release-store.ts'
import type { TeamStore } from '../../deployments/teams/team-store.ts'
import type { Principal } from '../principal.ts'
import { callerNameOf, type HeldToken } from './held-token.ts'
import { assertNoStronger, isWithin, type Strength } from './token-strength.ts'
import { assertLinkRoom } from './link-room.ts'
import type { TokenTable } from './token-table.ts'
import { newToken } from './token-text.ts'
import { assertTeam } from '../assert-team.ts'

type Teams = Pick<TeamStore, 'isAlone' | 'find' | 'teamOf'>

/** The commands about tokens, over their table. See `TokenCommands`. */
export class Tokens {
  readonly #table: TokenTable
  readonly #teams: Teams

  constructor(table: TokenTable, teams: Teams) {
    this.#table = table
    this.#teams = teams
  }

  /** Whether there is a working token that proves a caller of this name. */
  works(callerName: string): boolean {
    const isIt = (token: HeldToken) =>
      token.state === 'active' && callerNameOf(token.stored) === callerName
    return this.#table.all().some(isIt)
  }

  async create(caller: Principal, wanted: NewToken): Promise<MadeToken> {
    const { name, scopes } = wanted
    const team = wanted.team ?? (caller.teams?.length === 1 ? caller.teams[0]! : null)
    const apps = wanted.apps ?? caller.apps
    const owners = wanted.owners ?? caller.owners
    const expiresAt = wanted.expires === null ? this.#usualEnd(caller) : this.#end(wanted.expires)
    const strength = { scopes: [...new Set(scopes)], apps, owners, team, expiresAt }
    assertNoStronger(strength, caller)
    assertTeam(team, this.#teams)
    this.#assertNameFree(name, team)
    return this.#make(caller, { kind: 'token', nameOf: () => name }, strength)
  }

  async createLink(
    caller: Principal,
    { app, owner }: { app: string; owner: string | null },
    { expires }: Pick<NewDeployLink, 'expires'>,
  ): Promise<MadeToken> {
    const seconds = secondsOf(expires)!
    const { leastSeconds, linkSeconds } = tokenLimits
    if (seconds < leastSeconds || seconds > linkSeconds)
      throw new Problem(
        'option-invalid',
        `The option expires is invalid: a deploy link lives from ${leastSeconds} s to ${linkSeconds / 60} min, not ${expires}.`,
        { facts: { option: 'expires' } },
      )
    assertLinkRoom(caller, this.#table.all())
    const strength: Strength = {
      scopes: ['deploy'],
      apps: [app],
      owners: owner === null ? null : [owner],
      // The link itself is no member of a team, and its maker may be in several.
      team: this.#teams.isAlone ? null : this.#teams.teamOf(app),
      expiresAt: this.#table.now() + seconds * 1000,
    }
    assertNoStronger({ ...strength, team: null }, { ...caller, teams: null })
    return this.#make(caller, { kind: 'deploy-link', nameOf: linkName }, strength)
  }

  async find(caller: Principal, token: string): Promise<TokenFacts> {
    return this.#facts(this.#named(caller, token))
  }

  async list(
    caller: Principal,
    { limit, before, all }: PageRequest & { all: boolean },
  ): Promise<TokenPage> {
    const isShown = (token: HeldToken) =>
      (before === null || token.stored.seq < Number(before)) &&
      (all || token.endedAtMs === null) &&
      isSeen(token, caller)
    const found = this.#table.all().filter(isShown).toReversed()
    const shown = found.slice(0, limit)
    return {
      tokens: shown.map((token) => this.#facts(token)),
      next: found.length > limit ? String(shown.at(-1)!.stored.seq) : null,
    }
  }

  async revoke(caller: Principal, name: string): Promise<RevokedToken> {
    const token = this.#named(caller, name)
    const made = this.#table
      .all()
      .filter(
        ({ stored, endedAtMs }) => stored.createdByToken === token.stored.id && endedAtMs === null,
      )
    const [links, others] = [
      made.filter(({ stored }) => stored.kind === 'deploy-link'),
      made.filter(({ stored }) => stored.kind === 'token'),
    ]
    await this.#table.revoke([token, ...links])
    return { ...this.#facts(token), stillValid: others.map(({ stored }) => stored.name) }
  }

  async rotate(caller: Principal, name: string, how: Rotation): Promise<MadeToken> {
    const token = this.#named(caller, name)
    const { id, kind, scopes, apps, owners, team, hash } = token.stored
    if (token.state !== 'active' || kind !== 'token')
      throw new Problem(
        'token-not-found',
        `${token.stored.name} is ${kind === 'token' ? token.state : 'a deploy link'}; only a token that works gets a new secret.`,
      )
    const expiresAt = how.expires === null ? token.expiresAtMs : this.#end(how.expires)
    assertNoStronger({ scopes, apps, owners, team, expiresAt }, caller)

    const overlapSeconds = secondsOf(how.overlap)!
    if (overlapSeconds > tokenLimits.overlapSeconds)
      throw new Problem(
        'option-invalid',
        `The option overlap is invalid: at most ${tokenLimits.overlapSeconds / 86_400}d, not ${how.overlap}.`,
        { facts: { option: 'overlap' } },
      )
    const made = newToken(id)
    const now = this.#table.now()
    await this.#table.rotate(token, {
      hash: made.hash,
      oldHash: hash,
      oldUntil: this.#table.timeAt(now + overlapSeconds * 1000),
      rotatedAt: this.#table.timeAt(now),
      expiresAt: expiresAt === null ? null : this.#table.timeAt(expiresAt),
    })
    return { ...this.#facts(token), token: made.text }
  }

  async #make(
    caller: Principal,
    { kind, nameOf }: Pick<NewStoredToken, 'kind'> & { nameOf: (id: string) => string },
    { expiresAt, scopes, apps, owners, team }: Strength,
  ): Promise<MadeToken> {
    const { id, text, hash } = newToken()
    const token = await this.#table.add({
      kind,
      name: nameOf(id),
      id,
      hash,
      scopes: [...scopes],
      apps: apps && [...apps],
      owners: owners && [...owners],
      team,
      createdAt: this.#table.timeAt(this.#table.now()),
      createdBy: caller.name,
      createdByToken: caller.tokenId,
      expiresAt: expiresAt === null ? null : this.#table.timeAt(expiresAt),
    })
    return { ...this.#facts(token), token: text }
  }

  #facts(token: HeldToken): TokenFacts {
    return { ...token.facts(), lastUsedAt: this.#table.lastUsedAt(token) }
  }

  /** A token that the caller may see. Throws `token-not-found`. */
  #named(caller: Principal, name: string): HeldToken {
    const seen = this.#table.all().filter((token) => isSeen(token, caller))
    const byName = (token: HeldToken) => token.stored.name === name
    const found =
      seen.find(({ stored }) => stored.id === name) ??
      onlyOne(
        seen.filter((token) => byName(token) && token.endedAtMs === null),
        name,
      ) ??
      seen.findLast(byName)
    if (found) return found
    throw new Problem(
      'token-not-found',
      `There is no token ${name.slice(0, 100)} that the caller may see. To list them: tarmac token list`,
    )
  }

  #assertNameFree(name: string, team: string | null): void {
    const isTaken = (token: HeldToken) =>
      token.stored.name === name && token.stored.team === team && token.endedAtMs === null
    if (this.#table.all().some(isTaken))
      throw new Problem(
        'token-name-taken',
        `A token named ${name} exists. Choose another name, or give that one a new secret: tarmac token rotate ${name}.`,
      )
  }

  /** The life of a token that names none, but not longer than its maker's. */
  #usualEnd({ expiresAt }: Principal): number {
    return Math.min(this.#end(usualLife.token)!, expiresAt ?? Infinity)
  }

  /** When something ends that ends after a span or at a time. Throws if that is too soon. */
  #end(text: string): number | null {
    const now = this.#table.now()
    const end = endOf(text, now) ?? null
    if (end === null || end >= now + tokenLimits.leastSeconds * 1000) return end
    throw new Problem(
      'option-invalid',
      `The option expires is invalid: a token lives at least ${tokenLimits.leastSeconds} s, and ${text} is sooner or past.`,
      { facts: { option: 'expires' } },
    )
  }
}

const linkName = (id: string) => `link-${id}`

/** A caller sees what reaches no further than it does itself, and what it made. */
const isSeen = ({ stored }: HeldToken, caller: Principal): boolean =>
  (stored.createdBy === caller.name && stored.createdByToken === caller.tokenId) ||
  isWithin(stored, caller)

/** Throws if several teams have a token of this name. */
function onlyOne(found: HeldToken[], name: string): HeldToken | undefined {
  if (found.length <= 1) return found[0]
  const ids = found.map(({ stored: { id, team } }) => `${id} (team ${team ?? 'of all'})`)
  throw new Problem(
    'option-invalid',
    `Several tokens are named ${name}. Name one by its id: ${ids.slice(0, 10).join(', ')}.`,
  )
}
