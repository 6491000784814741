import type { Readable } from 'node:stream'
import type { PackAnswer, TreeAnswer } from '#api/sources/tree-calls.ts'
import type { Principal } from '../../callers/principal.ts'

/** `contentDigest`: of the body, as its header says. */
export type SentBody = { body: Readable; contentDigest?: string; signal: AbortSignal }

/**
 * Sources that are sent as a list and only those files that the app has not sent before. They are the
 * whole app's, whichever owner they are for.
 */
export type TreeCommands = {
  /** Takes a tree, or answers what is missing. Throws `base-unknown` and what an archive throws. */
  send(caller: Principal, app: string, manifest: SentBody): Promise<TreeAnswer>
  /** Takes files, each under its SHA-256. Throws `pack-invalid` and what an archive throws. */
  sendPack(caller: Principal, app: string, pack: SentBody): Promise<PackAnswer>
  /** The same with the bytes of a finished upload of the caller, which is removed then. */
  takeUpload(caller: Principal, app: string, upload: string): Promise<PackAnswer>
}
