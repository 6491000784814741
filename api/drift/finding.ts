import { z } from 'zod'

/** Everything that a drift report can find. docs/drift.md explains each. */
export const driftCodes = [
  'machine-changed',
  'machine-foreign',
  'machine-missing',
  'release-degraded',
  'public-address',
  'flycast-missing',
  'flycast-several',
  'flycast-changed',
  'flycast-network',
  'certificate-new',
  'certificate-gone',
  'certificate-pending',
  'certificate-failed',
  'certificate-dns',
  'certificate-expiring',
  'certificate-expired',
] as const
export type DriftCode = (typeof driftCodes)[number]

/** One difference between what Tarmac expects of an app and what Fly has. */
export const DriftFinding = z.object({
  /** One of `driftCodes`. A newer gateway may know more. */
  code: z.string(),
  /** The machine, release, address or hostname. */
  subject: z.string(),
  text: z.string(),
  expected: z.string(),
  found: z.string(),
  /** What to do. */
  advice: z.string(),
  /** The look that found it first. Null: only this report has found it. */
  since: z.string().nullable(),
})
export type DriftFinding = z.infer<typeof DriftFinding>

/** A finding before it is compared with earlier ones. */
export type NewFinding = Omit<DriftFinding, 'code' | 'since'> & { code: DriftCode }
