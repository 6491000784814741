import type { NewPreview, Preview, PreviewFilter, PreviewPage } from '#api/previews/preview.ts'
import type { Principal } from '../../callers/principal.ts'
import type { PageRequest } from '../../deployments/release-store.ts'

/** Short-lived machines with an owner. */
export type PreviewCommands = {
  /**
   * Creates the record, and the deployment that starts it. Throws `preview-limit` or `quota-reached`,
   * and what a deployment of such a source throws. A known idempotency key returns the preview that
   * it made.
   */
  create(
    caller: Principal,
    request: NewPreview,
    more: { idempotencyKey: string | null },
  ): Promise<Preview>
  find(caller: Principal, id: string): Promise<Preview>
  /** Newest first. */
  list(caller: Principal, filter: PreviewFilter, page: PageRequest): Promise<PreviewPage>
  /**
   * Sets its end to `ttlSeconds` from now; null: the gateway's lifetime. Throws `preview-over`, or
   * `option-invalid` for a longer one.
   */
  extend(caller: Principal, id: string, ttlSeconds: number | null): Promise<Preview>
  /** Returns the preview as `destroying`: the gateway destroys it, however long Fly takes. */
  destroy(caller: Principal, id: string): Promise<Preview>
}
