import type { MachinesApi } from '#fly/machines-api.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

export type WarningDeps = {
  store: Pick<DeploymentStore, 'appSettings' | 'ownerApps'>
  fly: Pick<MachinesApi, 'app' | 'ipAssignments'>
}

/** What an operator should know of a router: whom it leads to, and what leads past it. */
export async function warningsOf(
  app: string,
  { store, fly }: WarningDeps,
  signal: AbortSignal,
): Promise<string[]> {
  return [...(await unsharedWarning(app, store)), ...(await addressWarning(app, fly, signal))]
}

/** Owners with an app of their own are reached there, and not through the router. */
async function unsharedWarning(app: string, store: WarningDeps['store']): Promise<string[]> {
  const own = (await store.appSettings(app)).owners
  const count = store.ownerApps.list(app).length
  const stay =
    count === 1 ? 'One owner has an app of its own' : `${count} owners have their own app`
  const those = count === 0 ? '' : ` ${stay}, and the router does not lead there.`
  if ((own ?? store.ownerApps.setting) === 'shared-app')
    return count === 0 ? [] : [`The router leads to the owners that share ${app}.${those}`]
  const where = own ? `the setting owners of ${app}` : 'TARMAC_OWNERS'
  return [
    `The router leads to owners that share ${app}, and a new owner gets an app of its own (${where} is app-per-owner).${those} To let new owners share ${app}, set owners of ${app} to shared-app before tarmac deploy ${app} --owner NAME.`,
  ]
}

async function addressWarning(
  app: string,
  fly: WarningDeps['fly'],
  signal: AbortSignal,
): Promise<string[]> {
  if (!(await fly.app(app, signal))) return []
  const addresses = (await fly.ipAssignments(app, signal)).map(({ ip }) => ip)
  if (addresses.length === 0) return []
  return [
    `${app} has addresses of its own (${addresses.join(', ')}): a request there reaches the machine of any owner. The router needs none of them. When nothing uses them any more: fly ips release ${addresses.join(' ')} --app ${app}`,
  ]
}
