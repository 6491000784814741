import { parseArgs } from 'node:util'
import type { Measure } from './measure.ts'
import { labOptions, onWarmLab } from './warm-lab.ts'

const about = "the gateway's peak memory during four builds at once: [--files 300] [--runs 10]"
const goalMiB = 150
const atOnce = 4

async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({ args, options: labOptions })
  const [files, runs] = [Number(values.files), Number(values.runs)]
  return onWarmLab(values, async ({ gateway, archive, facts }) => {
    for (let round = 0; round < runs; round++) {
      const builds = Array.from({ length: atOnce }, (_, n) =>
        gateway.redeploy(archive, { rebuild: true, owner: `worker-${n}` }),
      )
      const times = await Promise.all(builds)
      console.log(
        `  ${times.map(({ totalMs }) => `${totalMs} ms`).join(', ')}; at most ${await gateway.memoryMiB()} MiB`,
      )
    }
    const gatewayMiB = await gateway.memoryMiB()
    const ratio = Math.round((gatewayMiB / goalMiB) * 1000) / 1000
    return [
      {
        bench: 'memory',
        files,
        runs,
        atOnce,
        gatewayMiB,
        ratio,
        goal: 1,
        ok: ratio <= 1,
        ...facts,
      },
    ]
  })
}

export const memory = { about, run }
