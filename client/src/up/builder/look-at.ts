import type { App } from '#fly/answers.ts'
import type { FlyParts } from '../fly-parts.ts'
import type { Found } from './plan.ts'

/** What there is. */
export async function lookAt(fly: FlyParts, app: App | null): Promise<Found> {
  if (!app) return { app: null, addresses: [], secrets: new Set(), volumes: [], machines: [] }
  const { machines: api, signal } = fly
  const [addresses, secrets, volumes, machines] = await Promise.all([
    api.ipAssignments(app.name, signal),
    api.secrets(app.name, signal),
    api.volumes(app.name, signal),
    api.machines(app.name, signal),
  ])
  return {
    app: app.name,
    addresses: addresses.map(({ ip }) => ip),
    secrets: new Set(secrets.map(({ name }) => name)),
    volumes,
    machines,
  }
}
