import { Problem } from '#api/problem.ts'
import type { DeploymentStore, NewDeployment } from '../deployments/store.ts'
import type { Intake } from '../intake/intake.ts'

/** A new deployment from what an earlier one was made of: its kept source and options, or (`again`) its very image. */
export async function retryOf(
  id: string,
  again: boolean,
  { store, intake }: { store: Pick<DeploymentStore, 'find'>; intake: Pick<Intake, 'tree'> },
): Promise<Omit<NewDeployment, 'id' | 'secrets'>> {
  const former = await store.find(id)
  if (!former) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
  const { app, source, image, options } = former
  if (again && !image) throw new Problem('nothing-built', `Deployment ${id} has no image; retry it without again=true.`)
  const gone = `The source of deployment ${id} is no longer kept; send it again.`
  if (!source) throw new Problem('source-gone', gone)
  await intake.tree(source.digest).catch((cause: unknown) => {
    throw new Problem('source-gone', gone, { cause })
  })
  return {
    app,
    source,
    resolved: true,
    image: again ? image : null,
    options: { ...options, deploy: again || options.deploy, trigger: 'retry' },
  }
}
