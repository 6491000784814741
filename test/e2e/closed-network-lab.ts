/**
 * Runs a lab in the network namespace of this process and builds the example apps of its arguments.
 * Prints one line of JSON for each: its name, its state and its problem.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLab } from '../../lab/start-lab.ts'
import { deployFolder } from '../../lab/use-lab.ts'

const examples = join(import.meta.dirname, '../../examples')
const dir = await mkdtemp(join(tmpdir(), 'tarmac-closed-'))
try {
  await using lab = await startLab({ dir, port: 20_000 })
  const build = async (name: string) => {
    const folder = join(examples, name)
    const { state, problem } = await deployFolder(lab, name, folder, { deploy: 'false' })
    console.log(JSON.stringify({ name, state, problem }))
  }
  await Promise.all(process.argv.slice(2).map(build))
} finally {
  await rm(dir, { recursive: true, force: true })
}
