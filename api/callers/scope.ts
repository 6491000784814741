import { z } from 'zod'

/**
 * What a caller may do. `read`: read everything of its apps. `deploy`: deploy, cancel, retry, roll
 * back, and change settings and env. `secrets`: list and change secrets. `preview`: make and remove
 * previews. `exec`: with `preview`, run commands in them. `admin`: everything, also for the gateway as a
 * whole if the caller is not limited to some apps.
 */
export const Scope = z.enum(['read', 'deploy', 'secrets', 'preview', 'exec', 'admin'])
export type Scope = z.infer<typeof Scope>

/** The scopes that each scope includes, beside itself. Who deploys must see how it went. */
const includes: Record<Scope, readonly Scope[]> = {
  read: [],
  deploy: ['read'],
  secrets: [],
  preview: ['read'],
  exec: [],
  admin: Scope.options,
}

/** Whether these scopes allow what needs `needed`. */
export const allows = (scopes: readonly Scope[], needed: Scope): boolean =>
  scopes.some((scope) => scope === needed || includes[scope].includes(needed))
