import { type QuotaFact, type QuotaName, quotaNames, quotas } from '#api/callers/quotas.ts'
import { allows } from '#api/callers/scope.ts'
import { defaultTeam } from '#api/callers/teams.ts'
import { quotaReached, resetOf, resetText, shown } from '../deployments/teams/quota-reached.ts'
import type { QuotaStore, TeamStore } from '../deployments/teams/team-store.ts'
import { isLimited, type Principal } from './principal.ts'
import { rateLimitFields } from './rate-limit-fields.ts'
import { noLimits, type UploadsAtOnce, UploadSlots } from './upload-slots.ts'

/**
 * Bytes of an upload that arrive. `isPart`: they are part of a resumable one, which counts as an
 * upload for as long as it is kept.
 */
type Upload = { announcedBytes: number; arrivedBytes: () => number; isPart?: boolean }

type Deps = {
  teams: Pick<TeamStore, 'isAlone' | 'teamsOf' | 'find'>
  quotas: QuotaStore
  /** Milliseconds since 1970. */
  now?: () => number
}

/** The resumable uploads that are kept. */
type Kept = { countOf: (team: string) => number }

/**
 * The teams of callers, and what they may still use. Requests and uploads at once are counted here;
 * a restart ends them all. The store counts the rest.
 */
export class Admission {
  readonly #deps: Deps
  readonly #kept: Kept
  readonly #now: () => number
  /** Requests by team, in the minute that ends at `resetMs`. */
  readonly #requests = new Map<string, { resetMs: number; used: number }>()
  readonly #uploads = new Map<string, Set<Upload>>()
  readonly #slots: UploadSlots

  constructor(deps: Deps, kept: Kept = { countOf: () => 0 }, limits: UploadsAtOnce = noLimits) {
    this.#deps = deps
    this.#kept = kept
    this.#now = deps.now ?? Date.now
    this.#slots = new UploadSlots(limits)
  }

  /** The caller with the teams that it is in now. A team that was deleted is none. */
  inTeams(caller: Principal): Principal {
    const { teams } = this.#deps
    if (caller.teams !== null)
      return { ...caller, teams: caller.teams.filter((team) => teams.find(team) !== null) }
    if (isOfAllTeams(caller)) return caller
    const own = teams.teamsOf(caller.name)
    if (own) return { ...caller, teams: own }
    return teams.isAlone || isUnlimited(caller) ? caller : { ...caller, teams: [defaultTeam] }
  }

  /** Whether no quota refuses the caller: it administers the gateway as a whole. */
  isExempt(caller: Principal): boolean {
    return caller.kind === 'operator' || isUnlimited(this.inTeams(caller))
  }

  /** The team whose quotas a caller's requests and uploads use. Null: none. */
  teamFor(caller: Principal): string | null {
    if (this.isExempt(caller)) return null
    const { teams } = this.inTeams(caller)
    return teams?.[0] ?? defaultTeam
  }

  /** Counts a request. Throws `quota-reached`. */
  request(caller: Principal): void {
    const team = this.teamFor(caller)
    if (team === null) return
    this.#assertRoom(team, 'requests-per-minute', 1)
    const count = this.#minute(team)
    count.used++
  }

  /**
   * Counts an upload. Throws `quota-reached`, `upload-limit` or `too-many-uploads`. Call `assertWithin` now and then while it arrives, and
   * dispose the result when it has ended: its bytes are counted then, whether or not it was taken.
   */
  upload(caller: Principal, upload: Upload): AsyncDisposable & { assertWithin: () => void } {
    const team = this.teamFor(caller)
    if (team === null) {
      const slot = this.#slots.take(caller)
      return { assertWithin() {}, [Symbol.asyncDispose]: async () => slot[Symbol.dispose]() }
    }
    if (!upload.isPart) this.#assertRoom(team, 'uploads', 1)
    this.#assertRoom(team, 'upload-mib-per-day', mib(Math.max(1, upload.announcedBytes)))

    const slot = this.#slots.take(caller)
    const all = this.#uploads.get(team) ?? new Set()
    this.#uploads.set(team, all.add(upload))
    return {
      assertWithin: () => this.#assertRoom(team, 'upload-mib-per-day', 0),
      [Symbol.asyncDispose]: async () => {
        slot[Symbol.dispose]()
        all.delete(upload)
        await this.#deps.quotas.add(team, 'upload-mib-per-day', upload.arrivedBytes())
      },
    }
  }

  /** Throws `quota-reached` unless the caller may have one more upload of this size. */
  assertUpload(caller: Principal, lengthBytes: number): void {
    const team = this.teamFor(caller)
    if (team === null) return
    this.#assertRoom(team, 'uploads', 1)
    this.#assertRoom(team, 'upload-mib-per-day', mib(lengthBytes))
  }

  /** The fields `RateLimit` and `RateLimit-Policy` of an answer to this caller. */
  fieldsFor(caller: Principal): Record<string, string> {
    const team = this.teamFor(caller)
    if (team === null) return {}
    return rateLimitFields((quota) => {
      const limit = this.#deps.quotas.limitOf(team, quota)
      return limit === null ? null : { limit, used: this.usedOf(team, quota) ?? 0 }
    }, this.#now())
  }

  /** What a team uses of a quota, in its units. Null: it is not counted here or in the store. */
  usedOf(team: string, quota: QuotaName): number | null {
    const uploads = [...(this.#uploads.get(team) ?? [])]
    if (quota === 'requests-per-minute') return this.#minute(team).used
    if (quota === 'uploads')
      return uploads.filter(({ isPart }) => !isPart).length + this.#kept.countOf(team)
    const stored = this.#deps.quotas.usedOf(team, quota)
    if (quota !== 'upload-mib-per-day' || stored === null) return stored
    const arriving = uploads.map(({ announcedBytes, arrivedBytes }) =>
      Math.max(announcedBytes, arrivedBytes()),
    )
    return stored + mib(arriving.reduce((sum, bytes) => sum + bytes, 0))
  }

  /**
   * Every quota of a team. What it uses is counted only where there is a limit. `cachePercent`: what
   * it has of the build cache.
   */
  factsOf(team: string, own: object, cachePercent: number | null): QuotaFact[] {
    const nowMs = this.#now()
    return quotaNames.map((quota) => {
      const limit = this.#deps.quotas.limitOf(team, quota)
      const count = () => (quota === 'cache-percent' ? cachePercent : this.usedOf(team, quota))
      const used = limit === null ? null : count()
      return {
        quota,
        what: quotas[quota].what,
        limit,
        used: used === null ? null : shown(used),
        resetsAt: resetText(quota, nowMs),
        from: quota in own ? 'team' : 'default',
      }
    })
  }

  #minute(team: string): { resetMs: number; used: number } {
    const nowMs = this.#now()
    const resetMs = resetOf('requests-per-minute', nowMs) ?? nowMs
    const known = this.#requests.get(team)
    // Not `>`: after the clock was set back, the count must not last until the time before that.
    if (known?.resetMs === resetMs) return known
    const fresh = { resetMs, used: 0 }
    this.#requests.set(team, fresh)
    return fresh
  }

  #assertRoom(team: string, quota: QuotaName, asked: number): void {
    const limit = this.#deps.quotas.limitOf(team, quota)
    if (limit === null) return
    const used = this.usedOf(team, quota) ?? 0
    const named = this.#deps.teams.isAlone ? null : team
    if (used + asked > limit)
      throw quotaReached({ quota, used, limit, asked, team: named, nowMs: this.#now() })
  }
}

/** Of the gateway's own kinds. They are in no team. */
const isOfAllTeams = ({ kind }: Principal) => kind === 'operator' || kind === 'gateway'

const isUnlimited = (caller: Principal) => !isLimited(caller) && allows(caller.scopes, 'admin')

const mib = (bytes: number) => bytes / quotas['upload-mib-per-day'].scale
