import { z } from 'zod'
import type { Crash } from '../deployment.ts'
import type { Difference } from '../release.ts'
import { Unknown } from '../status/part.ts'
import { DriftFinding } from './finding.ts'

/** A private network of Fly. `organization`: its slug; null if Fly does not say it. */
const Network = z.object({ name: z.string(), organization: z.string().nullable() })

/** `network`: that of a Flycast address, or why it is not known. Null: the address is public. */
const Address = z.object({
  ip: z.string(),
  public: z.boolean(),
  network: z.union([Network, Unknown]).nullable(),
})
export type Address = z.infer<typeof Address>

export const Certificate = z.object({
  hostname: z.string(),
  /** `fly`: Fly gets and renews it. `custom`: somebody has imported it. Null: Fly does not say. */
  source: z.enum(['fly', 'custom']).nullable(),
  state: z.enum(['issued', 'pending', 'failed', 'expired']),
  /**
   * What Fly has seen in DNS. `app`: the hostname leads to the app. `proof`: only a record that proves
   * who owns it, as behind a CDN. `none`: neither. `unknown`: Fly does not say.
   */
  dns: z.enum(['app', 'proof', 'none', 'unknown']),
  /** Null: there is no certificate yet, or this report has not asked: see `isRead`. */
  expiresAt: z.string().nullable(),
  /** What Fly says of a failed issue. */
  problem: z.string().nullable(),
  /** Whether the report has read Fly's details of it. Fly limits such reads to one a second. */
  isRead: z.boolean(),
})
export type Certificate = z.infer<typeof Certificate>

/** What a client reads of a drift report. */
export const DriftView = z.object({
  app: z.string(),
  findings: z.array(DriftFinding),
  ips: z.array(Address),
  /** The private network of the app. Null: Fly does not say it. */
  network: z.string().nullable(),
  certificates: z.union([z.array(Certificate), Unknown]),
  /** A deployment changes machines now. Until its end, `findings` says nothing new about machines. */
  deploying: z.boolean(),
})

export type DriftView = z.infer<typeof DriftView>

/** `GET /v1/apps/{app}/drift`: what is public, and what differs from what Tarmac expects. */
export type DriftReport = DriftView & {
  /** Whether this gateway created the app. */
  made: boolean
  services: { group: string; service: Record<string, unknown> }[]
  /** Machines that no deployment of this gateway created or updated. */
  foreign: { id: string; name: string; state: string; region: string; image: string }[]
  /**
   * Machines that differ from the newest release of their owner. `before` is the release's value.
   */
  drift: { machine: string; owner: string | null; release: number; differences: Difference[] }[]
  /** Newest releases whose machines have crashed since they went live, with those crashes. */
  degraded: { owner: string | null; release: number; deployment: string; crashes: Crash[] }[]
  /** Machines that the newest release of their owner was verified on, and that are gone. */
  missing: { machine: string; owner: string | null; release: number }[]
}
