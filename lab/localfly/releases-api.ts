import type { Request } from 'express'
import { FlyError } from './fly-error.ts'
import { parseImage } from './image-ref.ts'
import type { App, FlyState, Release } from './state.ts'
import { ulid } from './ulid.ts'

export type Find = (name: string | string[] | undefined) => App
export type On = (
  method: 'get' | 'post' | 'patch',
  path: string,
  handler: (req: Request, find: Find) => unknown,
) => void

/** As many as flyctl reads at most. */
const mostListed = 200

/**
 * Fly's releases over REST, as flyctl's `internal/uiex/releases.go` calls them. They do not change
 * what runs.
 */
export function releaseRoutes(
  on: On,
  { state, registry }: { state: FlyState; registry: string },
): void {
  on('get', '/api/v1/apps/:app/releases', ({ params, query }, find) => ({
    releases: find(params['app'])
      .releases.slice(0, Number(query['limit'] ?? mostListed))
      .map(showRestRelease),
  }))
  on('get', '/api/v1/apps/:app/releases/current', ({ params }, find) => {
    const [current] = find(params['app']).releases
    if (!current) throw new FlyError(404, 'Not found')
    return showRestRelease(current)
  })
  on('post', '/api/v1/releases', async ({ body }, find) => {
    const request = body as {
      app_name: string
      image: string
      definition?: unknown
      strategy?: string
    }
    const { releases } = find(request.app_name)
    // https://github.com/brockamer/findajob/issues/999
    if (!(await isImage(request.image, registry)))
      throw new FlyError(404, `Could not find image "${request.image}"`)
    const release: Release = {
      id: ulid(),
      version: (releases[0]?.version ?? 0) + 1,
      status: 'pending',
      strategy: request.strategy ?? 'ROLLING',
      image_ref: request.image,
      definition: request.definition ?? null,
      created_at: new Date().toISOString(),
    }
    releases.unshift(release)
    state.save()
    return { release: showRestRelease(release) }
  })
  on('patch', '/api/v1/releases/:id', ({ params, body }, find) => {
    const release = findRelease(state, find, String(params['id']))
    release.status = (body as { status: string }).status
    state.save()
    return showRestRelease(release)
  })
}

function findRelease(state: FlyState, find: Find, id: string): Release {
  const isIt = (release: Release) => release.id === id
  const owner = [...state.apps.values()].find(({ releases }) => releases.some(isIt))
  return find(owner?.name).releases.find(isIt)!
}

async function isImage(image: string, registry: string): Promise<boolean> {
  const { repository, tag, digest } = parseImage(image)
  const url = `http://${registry}/v2/${repository}/manifests/${digest || tag}`
  const accept =
    'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json'
  const signal = AbortSignal.timeout(10_000)
  return (await fetch(url, { method: 'HEAD', headers: { accept }, signal })).ok
}

/**
 * A GraphQL connection of an app's releases, newest first. flyctl sends a `status` with the query of
 * `scale count`, but the query does not use it: it gets the newest release, whatever became of it.
 * Source: fly-go 0.9.6, `resource_releases.go` › GetAppReleasesMachines.
 */
export const releaseNodes = ({ releases }: App, first = mostListed) => ({
  nodes: releases.slice(0, first).map(showRelease),
})

const user = { id: 'lab', email: 'lab@localhost', name: 'The lab' }

export const showRelease = (release: Release) => ({
  id: release.id,
  version: release.version,
  status: release.status,
  inProgress: release.status === 'running',
  stable: release.status === 'complete',
  description: `Release v${release.version}`,
  reason: 'deploy',
  imageRef: release.image_ref,
  deploymentStrategy: release.strategy,
  configDefinition: release.definition,
  user,
  createdAt: release.created_at,
})

const showRestRelease = ({ definition: _definition, ...release }: Release) => ({
  ...release,
  stable: release.status === 'complete',
  in_progress: release.status === 'running',
  user: user.email,
})
