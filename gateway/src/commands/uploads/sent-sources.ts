import type { SourceFacts } from '#api/deployment.ts'
import type { SentSource } from '#api/sources/sent-source.ts'
import type { Principal } from '../../callers/principal.ts'
import type { Sources } from '../../sources/sources.ts'
import type { Uploads } from '../../sources/uploads/uploads.ts'
import { finishedUpload } from './own-upload.ts'

export type SentSourcesDeps = {
  sources: Pick<Sources, 'receive'>
  uploads: Pick<Uploads, 'find' | 'body' | 'remove'>
}

/** `used`: call it when the deployment is recorded. The upload is then no longer needed. */
type Taken = { source: SourceFacts; used: () => Promise<void> }

/**
 * Checks and unpacks what a caller has sent before, as if it arrived now: it throws what an upload of
 * such an archive throws.
 */
export async function takeSent(
  caller: Principal,
  { app, source: { upload: id } }: { app: string; source: SentSource },
  { sources, uploads }: SentSourcesDeps,
): Promise<Taken> {
  const { digest } = finishedUpload(uploads, caller, { app, id })
  // A deployment goes on without its caller. So does what leads to it.
  const signal = new AbortController().signal
  const contentDigest = digest ?? undefined
  const source = await sources.receive(uploads.body(id), { contentDigest, signal })
  return { source, used: () => uploads.remove(id) }
}
