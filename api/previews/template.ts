import { z } from 'zod'

export const templateNameRule =
  'A template is named by 1 to 40 lower-case letters, digits and dashes, beginning with a letter.'
export const TemplateName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, templateNameRule)

/** As in fly.toml, and as fly.json and fly.yaml have it. */
export const TemplateFormat = z.enum(['toml', 'json', 'yaml'])
export type TemplateFormat = z.infer<typeof TemplateFormat>

/** A port that machines may reach, as `443/tcp` or `53/udp`. */
const EgressPort = z
  .string()
  .regex(/^[1-9]\d{0,4}\/(?:tcp|udp)$/, 'A port is written as 443/tcp or 53/udp.')
  .refine((text) => Number.parseInt(text, 10) <= 65_535, 'A port is at most 65535.')

/** What machines may reach: these ports of any address. Null: everything. Empty: nothing. */
const egress = z
  .array(EgressPort)
  .max(50, 'At most 50 ports.')
  .nullable()
  .default(null)
  .transform((ports) => ports && [...new Set(ports)].toSorted(byPort))

const byPort = (a: string, b: string) =>
  Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1)

/** `443/tcp, 53/udp`, `everything` or `nothing`. */
export const egressText = (ports: Template['egress']): string =>
  ports === null ? 'everything' : ports.join(', ') || 'nothing'

/** What the machines of previews are like. A version never changes. Times are ISO 8601, UTC. */
export const Template = z.object({
  app: z.string(),
  name: z.string(),
  /** From 1. */
  version: z.number(),
  createdAt: z.string(),
  createdBy: z.string(),
  format: TemplateFormat,
  /** The text of a fly.toml, fly.json or fly.yaml. */
  config: z.string(),
  egress,
})
export type Template = z.infer<typeof Template>

/** `GET /v1/apps/{app}/templates`: the newest version of each, without its config. */
export const TemplateList = z.object({ templates: z.array(Template.omit({ config: true })) })
export type TemplateList = z.infer<typeof TemplateList>

/** The body of `PUT /v1/apps/{app}/templates/{name}`. */
export const NewTemplate = z.strictObject({
  format: TemplateFormat.default('toml'),
  config: z.string().min(1).max(65_536),
  egress,
})
export type NewTemplate = z.infer<typeof NewTemplate>
