import { z } from 'zod'

/** One part of the appliance: the version that runs, and what it must be. */
export const VersionFacts = z.object({
  /** `gateway`, `buildkitd`, `runc`, `railpack`, `mise`, `node`, or the name of an npm package. */
  name: z.string(),
  /** Null: it cannot be known; `note` says why. */
  version: z.string().nullable(),
  /** The lowest version of each line that is good enough, as `1.2.8, 1.3.3, 1.4.0`. Null: any. */
  minimum: z.string().nullable(),
  /** Null: the version is not known. */
  ok: z.boolean().nullable(),
  /** Whether a digest in the tree fixes what runs: `gateway/pins.json`, or the npm lock file. */
  pinned: z.boolean(),
  note: z.string().nullable(),
})
export type VersionFacts = z.infer<typeof VersionFacts>

/** The part `versions` of `GET /v1/status`. */
export const Versions = z.array(VersionFacts)
