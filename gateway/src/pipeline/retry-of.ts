import { Problem } from '#api/problem.ts'
import type { DeploymentStore, NewDeployment } from '../deployments/store.ts'
import type { Intake } from '../intake/intake.ts'
import { kept } from './image-source.ts'

/**
 * A new deployment from what an earlier one was made of: its kept source and options, or (`again`, and for one that came
 * without a source) its very image.
 */
export async function retryOf(
  id: string,
  again: boolean,
  { store, intake }: { store: Pick<DeploymentStore, 'find'>; intake: Pick<Intake, 'tree'> },
): Promise<Omit<NewDeployment, 'id' | 'secrets'>> {
  const former = await store.find(id)
  if (!former) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
  const { app, source, from, image, options } = former
  if (again && !image) throw new Problem('nothing-built', `Deployment ${id} has no image; retry it without again=true.`)
  if (source) await kept(intake, id, source.digest)
  const same = again || !source
  return {
    app,
    source,
    from,
    image: same ? image : null,
    options: { ...options, deploy: same || options.deploy, trigger: 'retry' },
    resolved: true,
  }
}
