import type { Readable } from 'node:stream'
import type { OwnSettings } from '#api/app-settings.ts'
import type { CancelRequest, Deployment, SourceFacts } from '#api/deployment.ts'
import type { ImageSource } from '#api/image-source.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { DriftReport } from '#api/release.ts'
import type { NewRollout, Rollout, RolloutPage } from '#api/rollout.ts'
import type { SecretFacts } from '#api/secret.ts'
import type { ReleaseStore } from '../deployments/release-store.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'

export type HttpDeps = AppDeps &
  RolloutDeps & {
    store: Pick<
      DeploymentStore,
      'find' | 'list' | 'eventsAfter' | 'changed' | 'releases' | 'refuseBusyLane'
    >
    /** Resolves when the checked source is on disk. Stops reading after a refusal. */
    receive(
      body: Readable,
      more: { contentDigest?: string; signal: AbortSignal },
    ): Promise<SourceFacts>
    /** Creates the record. From then on the deployment runs, whether or not the caller stays. */
    submit(asked: {
      app: string
      options: DeploymentOptions
      source: SourceFacts
      secrets: ReadonlyMap<string, Uint8Array>
      idempotencyKey: string | null
    }): Promise<Deployment>
    secrets: SecretCommands
    settings: Settings
    /** Creates a deployment from an earlier one's source or image. */
    retry(
      id: string,
      more: { reuseImage: boolean; idempotencyKey: string | null },
    ): Promise<Deployment>
    /** Cancels a deployment. The returned record may not be `cancelled` yet. */
    cancel(id: string, request: Omit<CancelRequest, 'at'>): Promise<Deployment>
    /**
     * Throws a Problem if the gateway accepts no source now. Otherwise reserves disk space for the
     * announced bytes that have not arrived, until the caller disposes the result.
     */
    assertAccepting(upload: {
      announcedBytes: number
      arrivedBytes: () => number
    }): Disposable | void
    readiness(): Promise<{ ready: boolean; parts: Record<string, { ok: boolean; detail: string }> }>
    /** If empty, every caller is allowed. */
    tokens: readonly string[]
    log: Logger
    /** Fires when the gateway begins to stop: it refuses uploads and disconnects log readers. */
    stopping: AbortSignal
    maxUploadBytes: number
    /** Idle time before a log reader gets a heartbeat; a stuck one is disconnected. 15 s. */
    heartbeatMs?: number
    /** Time for a small body, and for the part of a form outside its file. 10 s. */
    bodyMs?: number
  }

export type AppDeps = {
  store: { releases: Pick<ReleaseStore, 'find' | 'list'> }
  /** Deploys an existing image. `asked` distinguishes requests with the same idempotency key. */
  deployExisting(
    source: ImageSource,
    target: {
      app: string
      options: DeploymentOptions
      idempotencyKey: string | null
      asked: unknown
    },
  ): Promise<Deployment>
  drift(app: string): Promise<DriftReport>
  deleteApp(app: string, foreign: boolean): Promise<void>
}

export type RolloutDeps = {
  rollouts: {
    create(
      asked: NewRollout,
      build: string | null,
      request: { asked: unknown; idempotencyKey: string | null },
    ): Promise<Rollout>
    find(id: string): Promise<Rollout>
    list(page: { limit: number; before: string | null }): Promise<RolloutPage>
    cancel(id: string, cancelRequest: Omit<CancelRequest, 'at'>): Promise<Rollout>
  }
}

/** Build secrets, stored per app. No call returns their values. */
export type SecretCommands = {
  list(app: string): Promise<SecretFacts[]>
  put(app: string, name: string, value: Uint8Array): Promise<SecretFacts>
  /** Throws a Problem if the app has no secret of that name. */
  remove(app: string, name: string): Promise<void>
}

export type Settings = {
  of(app: string): Promise<OwnSettings>
  change(app: string, patch: unknown): Promise<OwnSettings>
  /** The gateway's defaults for apps without their own setting. */
  gateway: OwnSettings
}
