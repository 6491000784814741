import { append } from './append.ts'
import { compaction } from './compaction.ts'
import { context } from './context.ts'
import { downtime } from './downtime.ts'
import { editLine } from './edit.ts'
import { followers } from './followers.ts'
import { sources } from './intake.ts'
import { memory } from './memory.ts'
import { redeploy } from './redeploy.ts'
import { reuse } from './reuse.ts'
import { rollout } from './rollout.ts'
import { start } from './start.ts'

// `npm run bench -- NAME [options]`: our speed beside the same work by hand. The last line is the
// result, as JSON.

/** `ratio` is our time to the other way's, so less is better. Further facts are beside it. */
export type Measure = {
  bench: string
  ratio: number
  goal: number
  ok: boolean
  [fact: string]: unknown
}

const benches: Record<string, { about: string; run: (args: string[]) => Promise<Measure[]> }> = {
  append,
  compaction,
  redeploy,
  reuse,
  rollout,
  context,
  sources,
  downtime,
  edit: editLine,
  followers,
  start,
  memory,
}

const [name = '', ...args] = process.argv.slice(2)
const bench = benches[name]
if (!bench) {
  for (const [known, { about }] of Object.entries(benches))
    console.error(`npm run bench -- ${known}   ${about}`)
  process.exit(name === '' ? 0 : 2)
}
const measures = await bench.run(args)
console.log(JSON.stringify(measures.length === 1 ? measures[0] : measures))
process.exit(measures.every(({ ok }) => ok) ? 0 : 1)
