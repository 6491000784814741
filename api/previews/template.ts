import { z } from 'zod'

export const templateNameRule =
  'A template is named by 1 to 40 lower-case letters, digits and dashes, beginning with a letter.'
export const TemplateName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, templateNameRule)

/** As in fly.toml, and as fly.json and fly.yaml have it. */
export const TemplateFormat = z.enum(['toml', 'json', 'yaml'])
export type TemplateFormat = z.infer<typeof TemplateFormat>

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
})
export type Template = z.infer<typeof Template>

/** `GET /v1/apps/{app}/templates`: the newest version of each, without its config. */
export const TemplateList = z.object({ templates: z.array(Template.omit({ config: true })) })
export type TemplateList = z.infer<typeof TemplateList>

/** The body of `PUT /v1/apps/{app}/templates/{name}`. */
export const NewTemplate = z.strictObject({
  format: TemplateFormat.default('toml'),
  config: z.string().min(1).max(65_536),
})
export type NewTemplate = z.infer<typeof NewTemplate>
