import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import { type Appliance, buildAppliance, createAppliance } from '../lab/appliance.ts'
import { startLab } from '../lab/start-lab.ts'
import { deployFolder } from '../lab/use-lab.ts'
import { join } from 'node:path'
import type { Measure } from './measure.ts'
import { median } from './side-by-side.ts'
import { labOptions } from './warm-lab.ts'

const about =
  'the appliance as a machine: time to ready and to the first build after a start, idle memory: [--runs 3]'
const app = 'tarmac-builder'
const limits = { readyMs: 3000, buildingMs: 5000, idleMiB: 120 }
/** The gateway's threads end when they had no work for a minute. */
const idleMs = 70_000
const example = join(import.meta.dirname, '../examples/hello-dockerfile')

/**
 * Starts the machine again and again on the same volume. The time to ready begins with the start of
 * the machine, so it includes localfly and podman.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { port, dir } = labOptions
  const { values } = parseArgs({ args, options: { port, dir, runs: { ...port, default: '3' } } })
  const say = (line: string) => console.log(line)
  await using lab = await startLab({ dir: join(values.dir, 'appliance'), port: +values.port, say })
  say('building gateway/Dockerfile ...')
  const { image } = await buildAppliance(lab, app)
  const appliance = await createAppliance(lab, { app, image })
  try {
    await deployFolder(appliance, 'hello', example) // so that the volume is warm

    const [ready, building]: [number[], number[]] = [[], []]
    for (let round = 0; round < Number(values.runs); round++) {
      await appliance.stop()
      const starting = performance.now()
      await appliance.start()
      await appliance.ready()
      ready.push(performance.now() - starting)
      building.push(await msToBuilding(appliance))
      say(`  ready after ${ms(ready)}, building after ${ms(building)}`)
    }

    await appliance.stop()
    await appliance.start()
    await appliance.ready()
    await sleep(idleMs)
    const idle = await gatewayMiB(appliance)
    say(`  ${idle.pss} MiB when idle (${idle.rss} MiB with all pages that it shares)`)
    const runs = { runs: Number(values.runs), fly: 'localfly (a stand-in)' }
    return [
      measure('appliance-ready', { ms: median(ready) }, limits.readyMs, runs),
      measure('appliance-building', { ms: median(building) }, limits.buildingMs, runs),
      measure('appliance-idle-memory', { MiB: idle.pss }, limits.idleMiB, {
        ...runs,
        rss: idle.rss,
      }),
    ]
  } finally {
    await appliance.destroy({ withVolume: true })
  }
}

const ms = (times: number[]) => `${times.at(-1)?.toFixed(0)} ms`

function measure(bench: string, value: Record<string, number>, limit: number, facts: object) {
  const ratio = Math.round((Object.values(value)[0]! / limit) * 1000) / 1000
  return { bench, ...value, limit, ratio, goal: 1, ok: ratio <= 1, ...facts }
}

/** From the request to the moment at which the record says `building`. */
async function msToBuilding(appliance: Appliance): Promise<number> {
  const sentAt = Date.now()
  const { id } = await deployFolder(appliance, 'hello', example, { rebuild: 'true' })
  const path = appliance.gateway + fill(routes.events, { id })
  const accept = 'application/x-ndjson'
  const headers = { authorization: `Bearer ${appliance.token}`, accept }
  const lines = (await (await fetch(path, { headers })).text()).trim().split('\n')
  const events = lines.map((line) => JSON.parse(line) as DeploymentEvent)
  const start = events.find((event) => event.type === 'state' && event.state === 'building')
  if (!start) throw new Error(`deployment ${id} was not built`)
  return Date.parse(start.at) - sentAt // one clock: machines of the lab share this host's
}

/**
 * The memory of the gateway's own process now, in MiB. `pss`: what it costs the machine, because it
 * counts a page that n processes share, such as those of Node's program, as the n-th part. `rss`:
 * all its pages.
 */
async function gatewayMiB(appliance: Appliance): Promise<{ pss: number; rss: number }> {
  const find = `for each in /proc/[0-9]*; do
    tr '\\0' ' ' < $each/cmdline | grep -q '^[^ ]*/node .*gateway/src/main.ts' && cat $each/smaps_rollup
  done; true`
  const found = await appliance.exec('sh', '-c', find)
  const of = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(found)?.[1]
    return Math.round(Number(kib) / 1024)
  }
  return { pss: of('Pss'), rss: of('Rss') }
}

export const appliance = { about, run }
