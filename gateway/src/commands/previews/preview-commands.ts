import type {
  ExecAnswer,
  ExecRequest,
  PreviewAction,
  PreviewLogs,
} from '#api/previews/preview-calls.ts'
import type { NewPreview, Preview, PreviewFilter, PreviewPage } from '#api/previews/preview.ts'
import type { LivingPreview, PreviewRequests, StatsFilter } from '#api/previews/preview-stats.ts'
import type { SourceFacts } from '#api/deployment.ts'
import type { SentSource } from '#api/sources/sent-source.ts'
import type { Principal } from '../../callers/principal.ts'
import type { PageRequest } from '../../deployments/release-store.ts'

/** `secrets`: of its machines. `upload`: the source that has arrived; `sent`: that was sent before. */
export type PreviewParts = {
  idempotencyKey: string | null
  secrets?: ReadonlyMap<string, Uint8Array>
  upload?: SourceFacts
  sent?: SentSource
}

/** Short-lived machines with an owner. */
export type PreviewCommands = {
  /**
   * Creates the record, and the deployment that starts it. Throws `preview-limit` or `quota-reached`,
   * and what a deployment of such a source throws. A known idempotency key returns the preview that
   * it made.
   */
  create(caller: Principal, request: NewPreview, more: PreviewParts): Promise<Preview>
  /**
   * Throws as `create` would, before the source of a preview arrives. A key that has made a preview
   * never throws.
   */
  assertRoom(
    caller: Principal,
    request: NewPreview,
    more: Pick<PreviewParts, 'idempotencyKey'>,
  ): Promise<void>
  find(caller: Principal, id: string): Promise<Preview>
  /** Newest first. */
  list(caller: Principal, filter: PreviewFilter, page: PageRequest): Promise<PreviewPage>
  /** Those that have not ended, with what they cost and why they are stuck. Oldest first. */
  living(caller: Principal, filter: StatsFilter): Promise<LivingPreview[]>
  /** When each of them answered its last request. Throws `fly-unavailable` if Fly's metrics do not answer soon. */
  requests(caller: Principal, filter: StatsFilter): Promise<PreviewRequests>
  /**
   * Sets its end to `ttlSeconds` from now; null: the gateway's lifetime. Throws `preview-over`, or
   * `option-invalid` for a longer one.
   */
  extend(caller: Principal, id: string, ttlSeconds: number | null): Promise<Preview>
  /** Returns the preview as `destroying`: the gateway destroys it, however long Fly takes. */
  destroy(caller: Principal, id: string): Promise<Preview>
  /**
   * Stops, suspends or starts its machines, and returns it as it is afterwards. A stopped preview gets
   * no requests, and none starts it. A started one answers, or is stopped again (`time-limit`). Throws
   * `preview-not-ready` while it starts, and `preview-over`.
   */
  change(caller: Principal, id: string, action: PreviewAction): Promise<Preview>
  /** The last `count` lines that its programs printed. Throws `preview-over` once it has ended. */
  logs(caller: Principal, id: string, count: number): Promise<PreviewLogs>
  /**
   * Runs a command in its machine, and returns how that ended. Throws `preview-not-ready`,
   * `preview-over`, or `time-limit`.
   */
  exec(caller: Principal, id: string, request: ExecRequest): Promise<ExecAnswer>
}
