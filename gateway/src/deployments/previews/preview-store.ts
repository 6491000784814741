import type {
  Preview,
  PreviewFilter,
  PreviewPage,
  PreviewState,
  TemplateRef,
} from '#api/previews/preview.ts'
import type { PageRequest } from '../release-store.ts'

/** How many previews there may be at once. A team's limit is a quota. */
export type PreviewLimits = { perOwner: number; all: number }

/** A preview, as a deployment makes it. */
export type NewStoredPreview = {
  id: string
  app: string
  owner: string
  template: TemplateRef | null
  /** ISO 8601, UTC. */
  expiresAt: string
  /** At the owner's limit: destroy its oldest ones, instead of `preview-limit`. */
  evict: boolean
  limits: PreviewLimits
  /** `claim`: the request takes one that waits in a pool, if one fits. `entry`: it is made for a pool. */
  pool?: 'claim' | 'entry'
}

/** What a move may write beside the state. */
export type PreviewPatch = Partial<Pick<Preview, 'ending' | 'problem' | 'url'>>

/**
 * Previews. `DeploymentStore.create` makes one with its deployment; the end of that deployment moves
 * it to `ready` or `destroying`. Every method is atomic.
 */
export interface PreviewStore {
  find(id: string): Promise<Preview | null>
  /** By its app on Fly. */
  ofFlyApp(flyApp: string): Promise<Preview | null>
  /** The app that the preview with this app on Fly belongs to. Null: it is no preview's. */
  appOf(flyApp: string): string | null
  /** Newest first, without those that wait in a pool. */
  list(filter: PreviewFilter, page: PageRequest): Promise<PreviewPage>
  /** All that have not ended, also those that wait in a pool. Oldest first. */
  living(): Promise<Preview[]>
  /** Without those that wait in a pool. */
  countLiving(): number
  /** Null, and nothing written: it is in none of the states `from`. */
  move(
    id: string,
    from: readonly PreviewState[],
    to: PreviewState,
    patch?: PreviewPatch,
  ): Promise<Preview | null>
  /** Sets its end. Null: it has ended, or is being destroyed. */
  setEnd(id: string, expiresAt: string): Promise<Preview | null>
  /** Writes a problem without a move. */
  note(id: string, problem: Preview['problem']): Promise<void>
  /** Calls `listener` when there is a new preview, or one has moved or got another end. */
  onChange(listener: () => void): Disposable
}
