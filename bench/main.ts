import { append } from './append.ts'
import { appliance } from './appliance.ts'
import { audit } from './audit.ts'
import { callers } from './callers.ts'
import { client } from './client.ts'
import { compaction } from './compaction.ts'
import { context } from './context.ts'
import { delta } from './delta.ts'
import { dashboard } from './dashboard.ts'
import { downtime } from './downtime.ts'
import { editLine } from './edit.ts'
import { followers } from './followers.ts'
import { intake } from './intake.ts'
import type { Measure } from './measure.ts'
import { memory } from './memory.ts'
import { previews } from './previews.ts'
import { push } from './push.ts'
import { redeploy } from './redeploy.ts'
import { reuse } from './reuse.ts'
import { rollout } from './rollout.ts'
import { start } from './start.ts'

const benches: Record<string, { about: string; run: (args: string[]) => Promise<Measure[]> }> = {
  append,
  audit,
  callers,
  client,
  compaction,
  redeploy,
  reuse,
  rollout,
  context,
  dashboard,
  delta,
  intake,
  downtime,
  edit: editLine,
  followers,
  start,
  memory,
  appliance,
  previews,
  push,
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
