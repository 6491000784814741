import type { ImageFacts } from '#api/deployment.ts'
import type { MachineFacts } from '#api/machines/deployed-machine.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { PreviewOf } from '#api/previews/preview.ts'
import type { SecretVersion } from '#api/release.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { DesiredApp } from './config/desired-app.ts'
import type { DeployProgress } from './progress.ts'

/**
 * `version`: machines get this version of the app's secrets, or a newer one. 0: none is known.
 * `digests` null: Fly did not say.
 */
export type DeploySecrets = { version: number; digests: SecretVersion[] | null }

/** What a deployment passes to the deploy engine. */
export type DeployJob = {
  id: string
  number: number
  /** The app on Fly that has the machines. */
  app: string
  /** The app of the record, and of the repository that has the image. An owner may have its own `app`. */
  recordedApp: string
  options: DeploymentOptions
  image: ImageFacts
  desired: DesiredApp
  /**
   * Whether the records know a deployment that a machine names by id and number. Also true for one
   * that they may have forgotten.
   */
  known(deployment: string, number: number): Promise<boolean>
  /** The preview that the deployment starts. */
  preview?: PreviewOf | null
  /** The app's secrets on Fly when the deploy began. Absent: not known. */
  secrets?: DeploySecrets
  /** The progress as last saved. Null: no machine was touched yet. */
  rollout: DeployProgress | null
  /**
   * Saves what is about to happen. If it fails, this gateway lost its claim and everything stops.
   */
  checkpoint(patch: { rollout: DeployProgress; machines: MachineFacts[] }): Promise<void>
  /**
   * Sends the requests of the job's owner to these machines, and resolves when that is so. Absent: Fly's
   * proxy finds the machines alone.
   */
  route?: ((machines: string[], signal: AbortSignal) => Promise<void>) | undefined
  emit: EventSink
  /** A copy without secrets, for what is saved or shown. */
  redact<T>(value: T): T
  /**
   * Aborts with a Problem as its reason. Code `stopping` leaves everything as it is, to be resumed
   * later. Any other code ends the deploy and rolls touched machines back.
   */
  signal: AbortSignal
}
