import { z } from 'zod'

/** `unknown`: the probe could not find out, so nothing is claimed. */
export const Answer = z.enum(['ok', 'warning', 'failed', 'unknown'])
export type Answer = z.infer<typeof Answer>

/** What one probe found. `next`: what to do about it. */
export const Finding = z.object({
  group: z.string(),
  name: z.string(),
  answer: Answer,
  detail: z.string(),
  next: z.string().nullable(),
  ms: z.number(),
})
export type Finding = z.infer<typeof Finding>

/** What `doctor` found. `by`: where the probes ran. */
export const DoctorReport = z.object({
  by: z.enum(['client', 'gateway']),
  version: z.string(),
  at: z.string(),
  findings: z.array(Finding),
})
export type DoctorReport = z.infer<typeof DoctorReport>

/** 1: something failed. A warning or an unknown answer fails nothing. */
export const doctorExitCode = (findings: readonly Pick<Finding, 'answer'>[]): 0 | 1 =>
  findings.some(({ answer }) => answer === 'failed') ? 1 : 0

/** `POST /v1/doctor`. `push`: also push a tiny image and remove it. `bundle`: also support files. */
export const DoctorRequest = z.strictObject({
  app: z.string().nullable().default(null),
  push: z.boolean().default(false),
  bundle: z.boolean().default(false),
})
export type DoctorRequest = z.infer<typeof DoctorRequest>

/** The files of a support bundle, by name. Secrets are redacted. */
export const BundleFiles = z.record(z.string(), z.string())
export type BundleFiles = z.infer<typeof BundleFiles>

export const DoctorAnswer = z.object({ report: DoctorReport, files: BundleFiles.nullable() })
export type DoctorAnswer = z.infer<typeof DoctorAnswer>
