import type { Deployment, SourceFacts } from '#api/deployment.ts'
import type { StoredRelease } from '../../deployments/release-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

type Store = Pick<DeploymentStore, 'find' | 'releases'>
/** The deployment that made something live, and the source that it was made of. */
export type LiveSource = { id: string; number: number; source: SourceFacts }

const page = 20
const maxPages = 10
const maxSteps = 10

/**
 * What was live for the target of a deployment before it. For a preview: what is live of its app. Null:
 * nothing was, or no source of it is known, as of an image that was deployed by its name.
 */
export async function liveBefore(deployment: Deployment, store: Store): Promise<LiveSource | null> {
  const release = await releaseBefore(deployment, store)
  const live = release && (await store.find(release.deployment))
  const source = live && (await sourceOf(live, store))
  return source && { id: live.id, number: live.number, source }
}

async function releaseBefore(
  { app, owner, release, preview, endedAt }: Deployment,
  { releases }: Store,
): Promise<StoredRelease | null> {
  if (preview) return releases.find(preview.app, null)
  if (release !== null) return release > 1 ? releases.find(app, owner, release - 1) : null
  if (endedAt === null) return releases.find(app, owner)
  let before: string | null = null
  for (let seen = 0; seen < maxPages; seen++) {
    const found: Awaited<ReturnType<typeof releases.list>> = await releases.list(app, owner, {
      limit: page,
      before,
    })
    const live = found.releases.find(({ createdAt }) => createdAt <= endedAt)
    if (live || found.next === null) return live ?? null
    before = found.next
  }
  return null
}

/** A rollback has no source: it is that of the release that it deploys again, if the image is the same. */
async function sourceOf(live: Deployment, store: Store): Promise<SourceFacts | null> {
  let found = live
  for (let step = 0; step < maxSteps && !found.source && found.from; step++) {
    const { app, owner, release } = found.from
    const again = await store.releases.find(app, owner, release)
    const maker = again && (await store.find(again.deployment))
    if (!maker || again.image.digest !== found.image?.digest) return null
    found = maker
  }
  return found.source
}
