import { parseArgs } from 'node:util'
import type { Measure } from './measure.ts'
import { editSampleApp, pack } from './sample-app.ts'
import { sideBySide } from './side-by-side.ts'
import { labOptions, onWarmLab } from './warm-lab.ts'

const about =
  'a redeploy of a known app, compared with the same by hand: [--files 300] [--edit none|one] [--mode warm|rebuild] [--runs 10]'

/**
 * Our time is from the last byte sent to the `built` event: planned, solved, pushed, and read back
 * from the registry.
 */
async function run(args: string[]): Promise<Measure[]> {
  const options = {
    ...labOptions,
    edit: { type: 'string', default: 'none' },
    mode: { type: 'string' },
  } as const
  const { values } = parseArgs({ args, options })
  const [files, runs] = [Number(values.files), Number(values.runs)]
  const edited = values.edit === 'one'
  return onWarmLab(values, async ({ gateway, hand, app, archive, facts }) => {
    let edits = Date.now() // earlier builds of this folder must not be reused
    const measures: Measure[] = []
    for (const mode of ['warm', 'rebuild'].filter((each) => (values.mode ?? each) === each)) {
      const rebuild = mode === 'rebuild'
      // A rebuild runs each step again, ours and theirs.
      const goal = rebuild ? 0.8 : edited ? 0.5 : 0.2
      console.log(
        `\n${mode}, ${files} files, ${edited ? 'one file changed' : 'nothing changed'}; theirs: by hand`,
      )
      // Edits before each run, because one way's build of the same content would save the other its
      // work.
      const edit = async () => {
        if (!edited) return
        await editSampleApp(app, ++edits)
        await pack(app, archive)
      }
      const compared = await sideBySide(runs, {
        async ours() {
          await edit()
          const { totalMs, parts } = await gateway.redeploy(archive, { rebuild })
          const shown = Object.entries(parts).map(([state, ms]) => `${state} ${ms}`)
          console.log(`  gateway: ${shown.join(', ')}`)
          return totalMs
        },
        async theirs() {
          await edit()
          return hand.redeploy(archive, { rebuild })
        },
      })
      const verdict = { ...compared, goal, ok: compared.ratio <= goal }
      const gatewayMiB = await gateway.memoryMiB()
      measures.push({
        bench: 'redeploy',
        mode,
        files,
        edit: values.edit,
        runs,
        ...verdict,
        gatewayMiB,
        ...facts,
      })
    }
    return measures
  })
}

export const redeploy = { about, run }
