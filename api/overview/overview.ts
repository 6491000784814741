import { z } from 'zod'
import { DeploymentState, ReleaseState } from '../deployment.ts'
import { Problem } from '../problem.ts'

const Environment = z.enum(['app', 'owner', 'preview'])

/** `GET /v1/deployments`: which deployments of all apps to list. A missing filter leaves all. */
export const DeploymentFilter = z.strictObject({
  /** A name, or a prefix that ends with `*`. */
  app: z.string().max(100).optional(),
  owner: z.string().max(100).optional(),
  state: DeploymentState.optional(),
  branch: z.string().max(1000).optional(),
  team: z.string().max(100).optional(),
  /** Who asked for it: the name of a caller, or a prefix that ends with `*`. */
  actor: z.string().max(300).optional(),
  /** What it was for: the app itself, machines of an owner, or a preview. */
  environment: Environment.optional(),
})
export type DeploymentFilter = z.infer<typeof DeploymentFilter>

/** `GET /v1/apps`. `state`: of the app's newest deployment. */
export const AppFilter = DeploymentFilter.pick({ app: true, state: true, team: true })
export type AppFilter = z.infer<typeof AppFilter>

/** An app that this gateway has deployed. Times are ISO 8601, UTC. */
export const AppSummary = z.object({
  app: z.string(),
  /** The newest deployment. */
  deployment: z.object({
    id: z.string(),
    number: z.number(),
    owner: z.string().nullable(),
    state: DeploymentState,
    createdAt: z.string(),
    url: z.string().nullable(),
  }),
  /** The newest release of the app itself. Null: it has none. */
  release: z.object({ number: z.number(), state: ReleaseState, createdAt: z.string() }).nullable(),
  /** How many owners have a release in the app. */
  owners: z.number(),
})
export type AppSummary = z.infer<typeof AppSummary>

/** By name. `next` is the cursor of the next page. */
export const AppPage = z.object({ apps: z.array(AppSummary), next: z.string().nullable() })
export type AppPage = z.infer<typeof AppPage>

/** Reads the filter from a query. Other names are not its own. Throws `option-invalid`. */
export function readFilter<S extends z.ZodObject>(filter: S, query: URLSearchParams): z.infer<S> {
  const own = [...query].filter(([name]) => name in filter.shape)
  const read = filter.safeParse(Object.fromEntries(own))
  if (read.success) return read.data
  const { path, message } = read.error.issues[0]!
  throw new Problem('option-invalid', `The option ${path.join('.')} is invalid: ${message}.`)
}
