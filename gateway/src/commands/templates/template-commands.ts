import type { NewTemplate, Template, TemplateList } from '#api/previews/template.ts'
import type { Principal } from '../../callers/principal.ts'

/** Templates of previews: what their machines are like. */
export type TemplateCommands = {
  /** The newest version of each. */
  list(caller: Principal, app: string): Promise<TemplateList>
  /** `version` null: the newest one. Throws `template-not-found`. */
  find(caller: Principal, app: string, name: string, version: number | null): Promise<Template>
  /** Adds a version, unless the newest one is the same. Throws `template-invalid` or `fly-config-invalid`. */
  set(caller: Principal, app: string, name: string, template: NewTemplate): Promise<Template>
  /** Returns its newest version. Previews that use it go on. Throws `template-not-found`. */
  remove(caller: Principal, app: string, name: string): Promise<Template>
}
