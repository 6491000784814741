import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Deployment } from '#api/deployment.ts'
import type { StreamMessage } from '#api/event-stream.ts'
import { fill, routes } from '#api/routes.ts'
import { mayBeAway } from '../gateway/src/deploy/rolling.ts'
import { startLab, type Lab } from '../lab/start-lab.ts'
import type { Measure } from './main.ts'
import { pack } from './sample-app.ts'

const about =
  'a rolling deploy of many machines under Fly’s request limits, beside the least time it can take: [--machines 20] [--watch 10]'
const goal = 1.15
const share = 0.33
const app = 'bench-rollout'
const toml = `app = "${app}"
[deploy]
max_unavailable = ${share}
[http_service]
internal_port = 8080
[[http_service.checks]]
path = "/"
interval = "1s"
timeout = "1s"
grace_period = "1s"
`

type Event = { type: string; timestamp: number }
type Machine = { id: string; config: object; events: Event[]; checks: { updated_at: string }[] }

/** Ours is timed from `deploying` to `live`, the bound is made of what each machine took by its own events and checks. */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      machines: { type: 'string', default: '20' },
      watch: { type: 'string', default: '10' },
      port: { type: 'string', default: '8451' },
      dir: { type: 'string', default: '.lab-bench' },
    },
  })
  const count = Number(values.machines)
  const settings = { TARMAC_WATCH: values.watch }
  await using lab = await startLab({
    dir: values.dir,
    port: Number(values.port),
    settings,
    say: (line) => console.log(line),
  })
  const work = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  try {
    await deploy(lab, work, 'first')
    const [model] = await machinesOf(lab)
    for (let made = 1; made < count; made++) {
      await fly(lab, 'POST', `/machines`, { name: `more-${made}`, region: 'ams', config: model!.config })
    }
    console.log(`${count} machines run`)
    const oursMs = await deploy(lab, work, `second ${Date.now()}`)
    return [measure(oursMs, await machinesOf(lab), Number(values.watch) * 1000)]
  } finally {
    await fly(lab, 'DELETE', '')
    await rm(work, { recursive: true })
  }
}

function measure(oursMs: number, machines: Machine[], watchMs: number): Measure {
  // As the deploy takes them: by when they were updated; the first alone, then so many at a time.
  const took = machines
    .map(({ events, checks }) => {
      const from = Math.min(...events.filter(({ type }) => type === 'update').map(({ timestamp }) => timestamp))
      return { from, ms: Math.max(...checks.map(({ updated_at: at }) => Date.parse(at))) - from }
    })
    .toSorted((a, b) => a.from - b.from)
    .map(({ ms }) => ms)
  const lanes = Array.from({ length: mayBeAway(share, machines.length) }, () => took[0] ?? 0)
  for (const ms of took.slice(1)) lanes[lanes.indexOf(Math.min(...lanes))]! += ms
  const machinesMs = Math.max(...lanes)
  const boundMs = machinesMs + watchMs
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  const range = `${seconds(Math.min(...took))} to ${seconds(Math.max(...took))}`
  console.log(`each machine took ${range} from its update to its first passing check`)
  console.log(`bound ${seconds(boundMs)}: the first machine ${seconds(took[0] ?? 0)}, then the others,`)
  console.log(
    `  ${lanes.length} at a time, until ${seconds(machinesMs)}; the watch ${seconds(watchMs)}; Fly's request limits 0.0 s,`,
  )
  console.log('  since each machine has limits of its own, and none needs more than their burst')
  const ratio = Math.round((oursMs / boundMs) * 1000) / 1000
  console.log(`ours ${seconds(oursMs)}, ratio ${ratio}`)
  const parts = { firstMs: took[0], machinesMs, watchMs, limitsMs: 0, atOnce: lanes.length }
  const verdict = { ratio, goal, ok: ratio <= goal && machines.length > 0 }
  return {
    bench: 'rollout',
    machines: machines.length,
    oursMs,
    boundMs,
    ...parts,
    ...verdict,
    fly: 'localfly (a stand-in)',
  }
}

/** Milliseconds from `deploying` to `live`. */
async function deploy(lab: Lab, work: string, page: string): Promise<number> {
  const files = {
    Dockerfile: 'FROM alpine\nCOPY index.html /www/\nCMD ["httpd", "-f", "-p", "8080", "-h", "/www"]\n',
    'index.html': page,
    'fly.toml': toml,
  }
  const folder = await mkdtemp(join(work, 'app-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const archive = join(work, 'app.tar.gz')
  await pack(folder, archive)
  const headers = { authorization: `Bearer ${lab.token}` }
  const body = new Uint8Array(await readFile(archive))
  const answer = await fetch(`${lab.gateway}/deploy/${app}?follow=false`, { method: 'PUT', headers, body })
  const { id } = (await answer.json()) as Deployment
  const accept = { authorization: `Bearer ${lab.token}`, accept: 'application/x-ndjson' }
  const events = await (await fetch(lab.gateway + fill(routes.events, { id }), { headers: accept })).text()
  const messages = events.split('\n').flatMap((line) => (line ? [JSON.parse(line) as StreamMessage] : []))
  const states = messages.flatMap((message) => ('seq' in message && message.type === 'state' ? [message] : []))
  const ended = states.at(-1)
  if (ended?.state !== 'live') throw new Error(`Deployment ${id} is ${ended?.state}: ${JSON.stringify(ended?.problem)}`)
  return Date.parse(ended.at) - Date.parse(states.find(({ state }) => state === 'deploying')!.at)
}

const machinesOf = (lab: Lab): Promise<Machine[]> => fly(lab, 'GET', '/machines') as Promise<Machine[]>

/** Within its limits: it is asked again after a 429. */
async function fly(lab: Lab, method: string, path: string, body?: object): Promise<unknown> {
  const headers = { authorization: `Bearer ${lab.flyToken}` }
  const asked = { method, headers, ...(body && { body: JSON.stringify(body) }) }
  for (;;) {
    const answer = await fetch(`${lab.flyApi}/v1/apps/${app}${path}`, asked)
    if (answer.status !== 429) return JSON.parse((await answer.text()) || 'null')
    await new Promise((again) => setTimeout(again, 1000))
  }
}

export const rollout = { about, run }
