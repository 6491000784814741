import type { Readable } from 'node:stream'
import type { KeptUpload, NewUpload, UploadChecksum } from '#api/sources/upload.ts'
import type { Principal } from '../../callers/principal.ts'

/** One request's bytes: see `Uploads.append`. */
export type UploadPart = {
  offsetBytes: number
  body: Readable
  checksum: UploadChecksum | null
  signal: AbortSignal
}

/**
 * Resumable uploads. Each belongs to the caller who made it: for all others it does not exist
 * (`upload-not-found`).
 */
export type UploadCommands = {
  /** Throws `upload-limit`, `quota-reached` or `no-space`. */
  create(caller: Principal, asked: NewUpload): Promise<KeptUpload>
  /** Ends a request that still writes to it, and returns it as it is then. */
  find(caller: Principal, id: string): Promise<KeptUpload>
  append(caller: Principal, id: string, part: UploadPart): Promise<KeptUpload>
  remove(caller: Principal, id: string): Promise<void>
}
