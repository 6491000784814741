import { Problem } from '#api/problem.ts'
import type { OwnerAppStore, OwnerTarget } from '../../deployments/owners/owner-app-store.ts'

/**
 * A target, and the app on Fly that keeps its secrets. `words`: what `tarmac secrets VERB` needs to
 * name it.
 */
export type SecretPlace = OwnerTarget & { flyApp: string; words: string }

/**
 * Where the secrets of an app are, or those of an owner that has an app of its own. Throws
 * `option-invalid` for an owner in a shared app: Fly keeps secrets per app.
 */
export function secretPlaceOf(
  target: OwnerTarget,
  ownerApps: Pick<OwnerAppStore, 'flyAppOf' | 'targetOf'>,
): SecretPlace {
  const { app, owner } = ownerApps.targetOf(target.app) ?? target
  const flyApp = ownerApps.flyAppOf({ app, owner })
  const words = secretWords({ app, owner, flyApp })
  if (owner === null || flyApp !== app) return { app, owner, flyApp, words }
  const detail = `Owner ${owner} of ${app} has no app of its own on Fly, and Fly keeps secrets per app. Either the owner has no deployment yet, or its machines are in the shared app. For the secrets of all machines there: tarmac secrets list ${app}`
  throw new Problem('option-invalid', detail, { facts: { option: 'owner' } })
}

export const secretWords = ({ app, owner, flyApp }: Omit<SecretPlace, 'words'>): string =>
  owner === null || flyApp === app ? app : `${app} --owner ${owner}`
