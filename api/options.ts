import { z } from 'zod'

/** What the sender of a deployment may ask for. On the wire these are query parameters (see `readOptions`). */
export const DeploymentOptions = z.object({
  /** `deploy=false`: build and push, touch no machine. */
  deploy: z.boolean().default(true),
  /** `rebuild=true`: run every step again, whatever is cached. */
  rebuild: z.boolean().default(false),
  /** `env.NAME=…`: environment of the machines. Never a secret: it came in a URL. */
  env: z.record(z.string(), z.string()).default({}),
  /** `build.NAME=…`: variables of the build (railpack's `--env`, a Dockerfile's build args). */
  build: z.record(z.string(), z.string()).default({}),
  /** Fly region of new machines. */
  region: z.string().nullable().default(null),
  /** Path in the source of the Dockerfile to use. */
  dockerfile: z.string().nullable().default(null),
  /** Path in the source of a railpack plan made elsewhere. */
  plan: z.string().nullable().default(null),
  strategy: z.enum(['rolling', 'canary', 'bluegreen', 'immediate']).nullable().default(null),
  commit: z.string().nullable().default(null),
  branch: z.string().nullable().default(null),
  message: z.string().nullable().default(null),
  author: z.string().nullable().default(null),
  /** What set it off: `cli`, `ci`, `push`, a service's name. */
  trigger: z.string().nullable().default(null),
})
export type DeploymentOptions = z.infer<typeof DeploymentOptions>
