import { Problem } from '#api/problem.ts'
import { aliveStates, type Preview } from '#api/previews/preview.ts'
import { isPooled } from '../../deployments/previews/pool-store.ts'
import type { PreviewStore } from '../../deployments/previews/preview-store.ts'

/** Finds a preview. Throws `preview-not-found`, also for one that waits in a pool. */
export async function findPreview(
  previews: Pick<PreviewStore, 'find'>,
  id: string,
): Promise<Preview> {
  const preview = await previews.find(id)
  if (!preview || isPooled(preview)) throw noPreview(id)
  return preview
}

export const noPreview = (id: string) =>
  new Problem('preview-not-found', `There is no preview ${id.slice(0, 100)}.`)

/** Works with a preview. What it throws for one whose end came meanwhile is `preview-over`. */
export async function whileAlive<T>(
  previews: Pick<PreviewStore, 'find'>,
  id: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const preview = await findPreview(previews, id)
    throw aliveStates.some((each) => each === preview.state) ? error : over(preview)
  }
}

/** The problem `preview-over`, for one that has ended, or is being destroyed. */
export const over = ({ id, state, ending }: Preview): Problem =>
  new Problem(
    'preview-over',
    `Preview ${id} is ${state === 'destroying' ? 'being destroyed' : state}${ending ? ` (${ending.why})` : ''}.`,
    { facts: { preview: id, state, ending } },
  )
