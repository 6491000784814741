import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { OwnSettings } from '#api/options/app-settings.ts'
import type { SourceFacts } from '#api/deployment.ts'
import type { Admission } from '../callers/admission.ts'
import type { Authenticator } from '../callers/authenticate.ts'
import type { Principal } from '../callers/principal.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Awake } from '../awake/awake.ts'
import type { Logger } from '../log.ts'

/**
 * An upload that arrives. `isPart`: it is a part of a resumable one. `forLater`: it makes no
 * deployment, so it need not wait until builds may run.
 */
export type Arriving = {
  announcedBytes: number
  arrivedBytes: () => number
  isPart?: boolean
  forLater?: boolean
}

/** What the server needs beside the commands. */
export type ServerDeps = {
  /** The log of a deployment, for its readers. */
  store: Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed' | 'overview'>
  awake: Pick<Awake, 'hold'>
  admission: Pick<Admission, 'request' | 'upload' | 'fieldsFor'>
  /**
   * Resolves when the checked source is on disk. Stops reading after a refusal. `lateDigest` waits
   * for a digest that comes after the body.
   */
  receive(
    body: Readable,
    more: {
      contentDigest?: string
      lateDigest?: () => Promise<string | undefined>
      signal: AbortSignal
    },
  ): Promise<SourceFacts>
  /**
   * Throws a Problem if the gateway accepts no source now. Otherwise reserves disk space for the
   * announced bytes that have not arrived, until the caller disposes the result.
   */
  assertAccepting(upload: Arriving): Disposable | void
  /** The gateway's settings for apps without their own. */
  appDefaults: OwnSettings
  /** What the gateway found out about an app that needs its owner’s attention. */
  appWarnings?(app: string): Promise<string[]>
  readiness(): Promise<{ ready: boolean; parts: Record<string, { ok: boolean; detail: string }> }>
  /** Null: every caller is the operator. */
  authenticate: Authenticator | null
  /** The address that a request comes from, if a proxy may say it. Default: the other end of the connection. */
  sourceOf?: (headers: IncomingHttpHeaders, peer: string) => string
  /** The session of a cookie. Null: there is none. */
  sessionOf: (
    cookie: string,
  ) => Promise<{ token: string; proof: NonNullable<Principal['proof']> } | null>
  /** Of the prices that the gateway knows. Null: it knows none. */
  currency: string | null
  log: Logger
  /** Fires when the gateway begins to stop: it refuses uploads and disconnects log readers. */
  stopping: AbortSignal
  maxUploadBytes: number
  /** Idle time before a log reader gets a heartbeat; a stuck one is disconnected. 15 s. */
  heartbeatMs?: number
  /** Time for a small body, and for the part of a form outside its file. 10 s. */
  bodyMs?: number
}

/** What receiving a source needs. */
export type UploadDeps = Pick<
  ServerDeps,
  'receive' | 'admission' | 'assertAccepting' | 'stopping' | 'maxUploadBytes' | 'bodyMs'
> & {
  /** Checks the fields of a form that come before its file. The file is not read if it throws. */
  beforeFile?: (fields: [string, string][]) => Promise<void>
}
