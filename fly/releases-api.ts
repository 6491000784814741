import { z } from 'zod'
import { Problem } from '#api/problem.ts'
import { ignored } from './answers.ts'
import { webApi } from './endpoints/fly-apis.ts'
import { FlyCalls, type Endpoint } from './fly-calls.ts'

/** Fly waits up to a minute for an image that its registry does not have yet (flyctl, pull 4595). */
const createMs = 90_000

/** A release as Fly counts them, per app. `version` is what flyctl shows as `v8`. */
const FlyRelease = z.object({
  id: z.string(),
  version: z.number(),
  status: z.string().nullish(),
  image_ref: z.string().nullish(),
})
export type FlyRelease = z.infer<typeof FlyRelease>

const Created = z.object({ release: FlyRelease })
const Listed = z.object({ releases: z.array(FlyRelease).nullish() })

/** As fly-go's `resource_releases.go` asks for releases, with the config beside. */
const wholeReleases = `query($appName: String!, $limit: Int!) {
  app(name: $appName) {
    releases: releasesUnprocessed(first: $limit) {
      nodes { version status imageRef deploymentStrategy configDefinition }
    }
  }
}`
const WholeReleases = z.object({
  errors: z.array(z.object({ message: z.string() })).nullish(),
  data: z
    .object({
      app: z.object({
        releases: z.object({
          nodes: z.array(
            z.object({
              version: z.number(),
              status: z.string(),
              imageRef: z.string().nullish(),
              deploymentStrategy: z.string().nullish(),
              configDefinition: z.record(z.string(), z.unknown()).nullish(),
            }),
          ),
        }),
      }),
    })
    .nullish(),
})
const mostRead = 20

export type NewFlyRelease = {
  app: string
  /** The app's config file as values. Null: flyctl reads the config from the machines. */
  definition: Record<string, unknown> | null
  image: string
  strategy: string
}
export type FlyReleaseStatus = 'running' | 'complete' | 'failed' | 'interrupted'

/**
 * Fly's releases: what `fly releases`, `fly config show` and `fly scale count` read. No deploy needs
 * them. Throws the same problems as `MachinesApi`. Source: flyctl's `internal/uiex/releases.go`.
 */
export class ReleasesApi {
  readonly #calls: FlyCalls

  constructor(endpoint: Endpoint) {
    this.#calls = new FlyCalls(endpoint, webApi)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls[Symbol.asyncDispose]()
  }

  /** Never creates two. If the answer is lost or unclear, the caller must look for the release. */
  async create(release: NewFlyRelease, signal: AbortSignal): Promise<FlyRelease> {
    const { app, definition, image, strategy } = release
    const body = { app_name: app, build_id: 0, definition, image, strategy: strategy.toUpperCase() }
    const call = {
      path: '/api/v1/releases',
      action: 'create-release',
      id: app,
      answer: Created,
    } as const
    const more = { method: 'POST', repeat: 'no', answerMs: createMs } as const
    return (await this.#calls.call({ ...call, ...more, body }, signal)).release
  }

  /** The newest releases, of any status, newest first. */
  async newest(app: string, limit: number, signal: AbortSignal): Promise<FlyRelease[]> {
    const path = `/api/v1/apps/${app}/releases?limit=${limit}`
    const call = { method: 'GET', path, action: 'list-releases', id: app, answer: Listed } as const
    const { releases } = await this.#calls.call(call, signal)
    return (releases ?? []).toSorted((a, b) => b.version - a.version)
  }

  /** A complete release with its config. Null: there is none of this version among the newest. */
  async complete(app: string, version: number, signal: AbortSignal): Promise<NewFlyRelease | null> {
    const body = { query: wholeReleases, variables: { appName: app, limit: mostRead } }
    const call = { path: '/graphql', action: 'whole-releases', id: app, answer: WholeReleases }
    const { data, errors } = await this.#calls.call({ ...call, method: 'POST', body }, signal)
    if (!data) {
      const fly = errors?.map(({ message }) => message).join('; ') ?? 'no data'
      throw new Problem('fly-refused', `Fly refused (POST /graphql: ${fly}).`, {
        facts: { status: 200, fly },
      })
    }
    const found = data.app.releases.nodes.find((each) => each.version === version)
    if (found?.status !== 'complete' || !found.imageRef) return null
    const { imageRef: image, configDefinition, deploymentStrategy } = found
    const definition = configDefinition ?? null
    return { app, definition, image, strategy: deploymentStrategy ?? 'rolling' }
  }

  /** `error`: why the release failed. */
  async setStatus(
    id: string,
    { status, error }: { status: FlyReleaseStatus; error?: string },
    signal: AbortSignal,
  ): Promise<void> {
    const metadata = error === undefined ? null : { post_deployment_info: { error } }
    const path = `/api/v1/releases/${encodeURIComponent(id)}`
    const call = { method: 'PATCH', path, action: 'release-status', id, answer: ignored } as const
    await this.#calls.call({ ...call, body: { status, metadata } }, signal)
  }
}
