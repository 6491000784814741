import type { SourceFacts } from '#api/deployment.ts'
import type { SentSource } from '#api/sources/sent-source.ts'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../../callers/principal.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Sources } from '../../sources/sources.ts'
import type { Uploads } from '../../sources/uploads/uploads.ts'
import { finishedUpload } from './own-upload.ts'

export type SentSourcesDeps = {
  store: Pick<DeploymentStore, 'sentTrees'>
  sources: Pick<Sources, 'receive' | 'tree'>
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
  { app, source }: { app: string; source: SentSource },
  deps: SentSourcesDeps,
): Promise<Taken> {
  if ('tree' in source)
    return { source: await findTree(app, source.tree, deps), used: async () => {} }
  return takeUpload(caller, { app, id: source.upload }, deps)
}

async function takeUpload(
  caller: Principal,
  { app, id }: { app: string; id: string },
  { sources, uploads }: SentSourcesDeps,
): Promise<Taken> {
  const { digest } = finishedUpload(uploads, caller, { app, id })
  // A deployment goes on without its caller. So does what leads to it.
  const signal = new AbortController().signal
  const contentDigest = digest ?? undefined
  const body = uploads.body(id)
  try {
    const source = await sources.receive(body, { contentDigest, signal })
    return { source, used: () => uploads.remove(id) }
  } finally {
    body.destroy() // a refusal leaves the rest unread
  }
}

/** A tree that the app has sent. What others have sent is not there. */
async function findTree(
  app: string,
  tree: string,
  { store, sources }: SentSourcesDeps,
): Promise<SourceFacts> {
  const gone = (cause?: unknown) =>
    new Problem(
      'tree-not-found',
      `The app has sent no tree ${tree}, or it is no longer kept: without a deployment that is an hour. Send it again.`,
      { cause },
    )
  if (!store.sentTrees.has(app, tree)) throw gone()
  const { digest, files, sizeBytes } = await sources.tree(tree).catch((error) => {
    throw gone(error)
  })
  return { digest, files, sizeBytes }
}
