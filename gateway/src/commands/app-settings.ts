import type { OwnSettings } from '#api/options/app-settings.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import { statusOf } from '#fly/fly-calls.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Vault } from '../secrets/vault.ts'

/**
 * The settings of an app. Throws `app-not-found` if neither the records nor Fly know the app. Asks
 * Fly only if the records know nothing of it.
 */
export async function appSettings(
  app: string,
  {
    store,
    vault,
    fly,
  }: {
    store: Pick<DeploymentStore, 'appSettings' | 'list'>
    vault: Pick<Vault, 'list'>
    fly: Pick<MachinesApi, 'app'>
  },
  signal: AbortSignal,
): Promise<OwnSettings> {
  const [own, { deployments }, secrets] = await Promise.all([
    store.appSettings(app),
    store.list(app, { limit: 1, before: null }),
    vault.list(app).catch(() => []), // the gateway may have no key
  ])
  const isKnown = Object.keys(own).length > 0 || deployments.length > 0 || secrets.length > 0
  if (isKnown || (await isOnFly(app, fly, signal))) return own
  const detail = `There is no app ${app}: this gateway has neither deployments nor settings of it, and Fly has no such app in reach. The first deployment makes it.`
  throw new Problem('app-not-found', detail, { facts: { app } })
}

/** Fly answers 403 for an app of another organisation. */
async function isOnFly(
  app: string,
  fly: Pick<MachinesApi, 'app'>,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await fly.app(app, signal)) !== null
  } catch (error) {
    if (statusOf(error) === 403) return false
    throw error
  }
}
