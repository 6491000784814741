import type { PreviewOf } from '#api/previews/preview.ts'
import type { Template } from '#api/previews/template.ts'
import { Problem } from '#api/problem.ts'
import type { TemplateStore } from './template-store.ts'

/** The version of the template that a preview was made with. Null: without one. Throws `template-not-found`. */
export async function templateOf(
  { app, template }: Pick<PreviewOf, 'app' | 'template'>,
  templates: Pick<TemplateStore, 'find'>,
): Promise<Template | null> {
  if (!template) return null
  const { name, version } = template
  const found = await templates.find(app, name, version)
  if (found) return found
  throw new Problem('template-not-found', `${app} has no template ${name}@${version} any more.`)
}
