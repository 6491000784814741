import { Problem } from '#api/problem.ts'

/** The machines of each owner of an app. */
export type Routes = Map<string, string[]>

const prefix = 'TARMAC_ROUTES_'
/** Linux limits a variable to 128 KiB. */
const partChars = 90_000
/** With two machines each they take two parts: the router's config stays small. */
export const maxOwners = 2000

/** The variables that a router has its routes from: JSON in parts. Throws `router-failed`. */
export function routesEnv(routes: Routes): Record<string, string> {
  if (routes.size > maxOwners)
    throw new Problem(
      'router-failed',
      `The router knows at most ${maxOwners} owners, and this is one more. Destroy owners that are not used any more, or give the new ones an app each (setting TARMAC_OWNERS).`,
      { facts: { owners: routes.size, limit: maxOwners } },
    )
  const sorted = [...routes].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const text = JSON.stringify(Object.fromEntries(sorted))
  const parts = Math.ceil(text.length / partChars)
  return Object.fromEntries(
    Array.from({ length: parts }, (_, part) => [
      `${prefix}${part}`,
      text.slice(part * partChars, (part + 1) * partChars),
    ]),
  )
}

/** Reads the routes of a router's variables. A router without them knows no owner. */
export function routesIn(env: Record<string, string>): Routes {
  const parts = routeNames(env).length
  const text = Array.from({ length: parts }, (_, part) => env[`${prefix}${part}`] ?? '').join('')
  try {
    const routes: Record<string, string[]> = JSON.parse(text || '{}')
    return new Map(Object.entries(routes))
  } catch {
    return new Map() // somebody has changed the variables
  }
}

/** The names of the variables with routes. */
export const routeNames = (env: Record<string, string>): string[] =>
  Object.keys(env).filter((name) => /^TARMAC_ROUTES_\d{1,4}$/.test(name))

export const sameMachines = (one: string[] = [], other: string[] = []): boolean =>
  one.length === other.length && one.every((machine) => other.includes(machine))

export const sameRoutes = (one: Routes, other: Routes): boolean =>
  one.size === other.size &&
  [...one].every(([owner, machines]) => sameMachines(machines, other.get(owner)))
