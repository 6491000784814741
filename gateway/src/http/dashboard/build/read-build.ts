import type { Deployment } from '#api/deployment.ts'
import { pageAfter } from '../../../deployments/follow.ts'
import { TimeSlice } from '../../../time-slice.ts'
import type { PageContext } from '../parts/page.ts'
import { BuildModel } from './build-model.ts'

const sliceMs = 5

/** Reads the steps of a build from its whole log, in slices. Throws `log-dropped`. */
export async function readBuild(
  { commands, caller, store }: Pick<PageContext, 'commands' | 'caller' | 'store'>,
  { id }: Pick<Deployment, 'id'>,
): Promise<BuildModel> {
  await commands.logOf(caller, id)
  const model = new BuildModel()
  const slice = new TimeSlice(sliceMs)
  for (let seq = 0; ;) {
    const page = await pageAfter(store, id, seq)
    if (page.length === 0) return model
    for (const event of page) model.take(event)
    seq = page.at(-1)!.seq
    await slice.yield()
  }
}
