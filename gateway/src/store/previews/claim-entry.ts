import type { Deployment } from '#api/deployment.ts'
import { fitsOf } from '../../deployments/previews/pool-store.ts'
import type { NewStoredPreview } from '../../deployments/previews/preview-store.ts'
import type { NewDeployment } from '../../deployments/store.ts'
import { toFound } from '../record.ts'
import type { Tables } from '../tables.ts'

/**
 * Gives the oldest entry of a pool that fits to the request of a preview, and returns the deployment
 * that made it. Null: none fits. Checks the same limits as for a new preview. For use within a
 * transaction of the store.
 */
export function claimEntry(tables: Tables, fresh: NewDeployment): Deployment | null {
  const { pools, deployments } = tables
  const { preview, exempt = false, triggeredBy = null } = fresh
  const fits = fitsOfNew(fresh)
  if (preview?.pool !== 'claim' || fits === null) return null
  const entry = pools.oldest(preview, fits)
  if (!entry) return null

  makeRoomFor(tables, preview, exempt)
  if (!pools.claim(entry.id, preview, triggeredBy)) return null
  // Who may read the deployment's record and log, the owner in it says.
  deployments.run(
    `UPDATE deployments SET body = json_set(body, '$.preview.owner', ?, '$.preview.expiresAt', ?)
     WHERE id = ?`,
    [preview.owner, preview.expiresAt, entry.deployment],
  )
  return toFound(deployments.find(entry.deployment))
}

/** As `fitsOf`, of a new deployment. Null: no pool has such previews. */
export const fitsOfNew = ({
  preview,
  image,
  options: { region },
}: Pick<NewDeployment, 'preview' | 'image' | 'options'>): string | null =>
  preview?.pool && preview.template && image
    ? fitsOf({ template: preview.template, image, region })
    : null

/** Checks the limits of a new preview, and destroys those whose place it takes. */
export function makeRoomFor(
  { quotas, previews }: Tables,
  preview: NewStoredPreview,
  exempt: boolean,
): void {
  const isFull = !exempt && quotas.assertPreviewRoom(preview.app, previews.mayReplace(preview))
  previews.makeRoom(preview, isFull ? 1 : 0)
}
