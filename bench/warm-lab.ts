import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLab, type Lab } from '../lab/start-lab.ts'
import { ByGateway } from './by-gateway.ts'
import { ByHand } from './by-hand.ts'
import type { Measure } from './measure.ts'
import { makeSampleApp, pack } from './sample-app.ts'

/** The folder of a bench's lab, and the size of its app. */
export const labOptions = {
  files: { type: 'string', default: '300' },
  runs: { type: 'string', default: '10' },
  port: { type: 'string', default: '8451' },
  dir: { type: 'string', default: '.lab-bench' },
} as const

export type WarmLab = {
  gateway: ByGateway
  hand: ByHand
  app: string
  archive: string
  facts: Record<string, string>
}

/** Runs in a lab that has built the sample app both ways, so that all caches are warm. */
export async function onWarmLab(
  options: { files: string; port: string; dir: string },
  measure: (warm: WarmLab) => Promise<Measure[]>,
): Promise<Measure[]> {
  const { dir, port, files } = options
  await using lab = await startLab({ dir, port: Number(port), say: (line) => console.log(line) })
  const work = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  try {
    const app = join(work, 'app')
    const archive = join(work, 'app.tar.gz')
    await makeSampleApp(app, Number(files))
    await pack(app, archive)
    const gateway = new ByGateway(lab)
    const hand = new ByHand({ lab, dir: join(work, 'by-hand') })
    await hand.prepare(archive)
    for (const rebuild of [false, false]) {
      await gateway.redeploy(archive, { rebuild })
      await hand.redeploy(archive, { rebuild })
    }
    return await measure({ gateway, hand, app, archive, facts: factsOf(lab) })
  } finally {
    await rm(work, { recursive: true })
  }
}

export const factsOf = ({ planner }: Lab) => ({
  planner: planner.version,
  byHandThrough: planner.standIn ? 'our compiled plan' : "railpack's frontend",
  fly: 'localfly (a stand-in)',
})
