import { Problem } from '#api/problem.ts'
import { type NewTemplate, TemplateName, templateNameRule } from '#api/previews/template.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { TemplateCommands } from './template-commands.ts'

export type TemplateDeps = {
  store: Pick<DeploymentStore, 'templates'>
  /** Throws `fly-config-invalid` for a config that no preview can have. */
  checkTemplate: (app: string, template: NewTemplate) => void
}

/** See `TemplateCommands`. */
export function openTemplates({ store, ...deps }: TemplateDeps): TemplateCommands {
  return {
    list: async (_caller, app) => ({ templates: await store.templates.list(app) }),
    find: (_caller, app, name, version) => findTemplate(store, { app, name, version }),
    async set({ name: createdBy }, app, name, template) {
      if (!TemplateName.safeParse(name).success)
        throw new Problem('template-invalid', templateNameRule)
      deps.checkTemplate(app, template)
      return store.templates.add({ app, name, createdBy, ...template })
    },
    async remove(_caller, app, name) {
      const template = await findTemplate(store, { app, name, version: null })
      await store.templates.remove(app, name)
      return template
    },
  }
}

type Named = { app: string; name: string; version: number | null }

export async function findTemplate(store: TemplateDeps['store'], named: Named) {
  const { app, name, version } = named
  const template = await store.templates.find(app, name, version)
  if (!template) throw noTemplate(named)
  return template
}

/** Reads `name` or `name@version`. Throws `template-invalid`. */
export function readTemplateName(text: string): Omit<Named, 'app'> {
  const [, name = '', version] = /^([^@]+)(?:@(\d{1,9}))?$/.exec(text) ?? []
  if (!TemplateName.safeParse(name).success)
    throw new Problem('template-invalid', `${templateNameRule} A version of it is name@version.`)
  return { name, version: version === undefined ? null : Number(version) }
}

const noTemplate = ({ app, name, version }: Named) =>
  new Problem(
    'template-not-found',
    `${app} has no template ${name.slice(0, 100)}${version === null ? '' : ` with a version ${version}`}. To list them: tarmac template list ${app}`,
  )
