import { parseArgs } from 'node:util'
import type { Measure } from './measure.ts'
import { sideBySide } from './side-by-side.ts'
import { labOptions, onWarmLab } from './warm-lab.ts'

const about =
  'the same source again, compared with a fully cached `buildctl build`: [--files 300] [--runs 10]'
const goal = 0.1

/**
 * Both begin with an unpacked source. Our time is from the record's creation to its `built` event.
 * The other is only `buildctl build`, planned beforehand.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({ args, options: labOptions })
  const [files, runs] = [Number(values.files), Number(values.runs)]
  return onWarmLab(values, async ({ gateway, hand, archive, facts }) => {
    console.log(`\nthe same ${files} files again; theirs: buildctl build`)
    const compared = await sideBySide(runs, {
      async ours() {
        const { totalMs, parts } = await gateway.redeploy(archive, { rebuild: false })
        const shown = Object.entries(parts).map(([state, ms]) => `${state} ${ms}`)
        console.log(`  gateway: ${shown.join(', ')}`)
        return totalMs - parts['receiving']!
      },
      theirs: () => hand.rebuild(),
    })
    const verdict = { ...compared, goal, ok: compared.ratio <= goal }
    return [
      { bench: 'reuse', files, runs, ...verdict, gatewayMiB: await gateway.memoryMiB(), ...facts },
    ]
  })
}

export const reuse = { about, run }
