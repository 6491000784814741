import { z } from 'zod'
import { QuotaFact } from './quotas.ts'

/** The team of all apps that belong to no other. */
export const defaultTeam = 'default'

export const teamNameRule =
  'A team’s name is 1 to 40 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash.'
export const TeamName = z.string().regex(/^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/, teamNameRule)

export const memberRule =
  'A member is a caller by its name: token:ci, github:acme/shop or tailscale-user:ann@example.com. It has 1 to 200 visible ASCII characters without a space.'
export const MemberName = z.string().regex(/^[\x21-\x7e]{1,200}$/, memberRule)

/** A team. Times are ISO 8601, UTC. */
export const Team = z.object({
  name: z.string(),
  createdAt: z.string(),
  /** Null: a caller that is limited to some apps or owners does not see them. */
  members: z.array(z.string()).nullable(),
  /** Of the team `default`: those that are named in the records. */
  apps: z.array(z.string()),
  quotas: z.array(QuotaFact),
  /** What is not as the caller may think, after a change. */
  notes: z.array(z.string()).optional(),
})
export type Team = z.infer<typeof Team>

/** `GET /v1/teams`. Empty while there is only the team `default`. */
export const TeamList = z.object({ teams: z.array(Team) })
export type TeamList = z.infer<typeof TeamList>
