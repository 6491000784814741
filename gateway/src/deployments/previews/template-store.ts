import type { Template, TemplateList } from '#api/previews/template.ts'

export type NewStoredTemplate = Omit<Template, 'version' | 'createdAt'>

/** Templates of previews, by app, name and version. */
export interface TemplateStore {
  /** Adds the next version. The same content as that of the newest one adds none: returns that. */
  add(template: NewStoredTemplate): Promise<Template>
  /** `version` null: the newest one, unless the template was removed. */
  find(app: string, name: string, version: number | null): Promise<Template | null>
  /** The newest version of each template that was not removed, by name. */
  list(app: string): Promise<TemplateList['templates']>
  /** Its versions stay for the previews that use them. */
  remove(app: string, name: string): Promise<void>
}
