import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { Deployment } from '../api/deployment.ts'
import type { StreamMessage } from '../api/event-stream.ts'
import { fill, routes } from '../api/routes.ts'
import { maxUnavailableCount } from '../gateway/src/deploy/strategies/rolling.ts'
import { limitsOf } from '#fly/request-budget.ts'
import { startLab, type Lab } from '../lab/start-lab.ts'
import { askFly, deployFolder, scaleTo } from '../lab/use-lab.ts'
import type { Measure } from './measure.ts'

const about =
  'a rolling deploy of many machines under Fly’s request limits, compared with the least possible time: [--machines 20] [--watch 10]'
const goal = 1.02
const share = 0.33
const app = 'bench-rollout'
const files = {
  Dockerfile:
    'FROM alpine\nCOPY index.html /www/\nCMD ["httpd", "-f", "-p", "8080", "-h", "/www"]\n',
  'fly.toml': `app = "${app}"
[deploy]
max_unavailable = ${share}
[http_service]
internal_port = 8080
[[http_service.checks]]
path = "/"
interval = "1s"
timeout = "1s"
grace_period = "1s"
`,
}

type Machine = { events: { type: string; timestamp: number }[]; checks: { updated_at: string }[] }

/**
 * Our time is from `deploying` to `live`. The bound is computed from the time of each machine, by
 * its own events and checks.
 */
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
  const { dir, port, watch } = values
  const say = (line: string) => console.log(line)
  await using lab = await startLab({
    dir,
    port: Number(port),
    settings: { TARMAC_WATCH: watch },
    say,
  })
  const source = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(source, name), text)
    const previous = await deploy(lab, source, 'before')
    await scaleTo(lab, app, Number(values.machines))
    say(`${values.machines} machines run`)
    const { id } = await deploy(lab, source, `after ${Date.now()}`)
    const oursMs = await fromDeployingToLive(lab, id)
    const machines = await askFly<Machine[]>(lab, 'GET', `/apps/${app}/machines`)
    const measured = measure(oursMs, machines, Number(watch) * 1000)
    return [{ ...measured, flyctlMs: await byFlyctl(lab, source, previous.image!.reference) }]
  } finally {
    await rm(source, { recursive: true })
  }
}

function measure(oursMs: number, machines: Machine[], watchMs: number): Measure {
  // In the order of the deploy, by update time: the first machine alone, then several at once.
  const took = machines
    .map(({ events, checks }) => {
      const from = Math.min(
        ...events.flatMap(({ type, timestamp }) => (type === 'update' ? [timestamp] : [])),
      )
      return { from, ms: Math.max(...checks.map(({ updated_at: at }) => Date.parse(at))) - from }
    })
    .toSorted((a, b) => a.from - b.from)
    .map(({ ms }) => ms)
  const [firstMs = 0, ...others] = took
  const lanes = Array.from({ length: maxUnavailableCount(share, machines.length) }, () => firstMs)
  for (const ms of others) lanes[lanes.indexOf(Math.min(...lanes))]! += ms
  const machinesMs = Math.max(...lanes)
  const limits = slowestCalls(Math.max(...took), watchMs)
  const boundMs = Math.max(machinesMs + watchMs, limits.leastMs)
  const ratio = Math.round((oursMs / boundMs) * 1000) / 1000
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  console.log(`
each machine took ${seconds(Math.min(...took))} to ${seconds(Math.max(...took))} from its update to its first passing check
bound ${seconds(boundMs)}: the first machine ${seconds(firstMs)}, the others, ${lanes.length} at a time, ${seconds(machinesMs - firstMs)},
  the watch ${seconds(watchMs)}; Fly's request limits, each of which holds for one action on one machine or app, ask for
  ${seconds(limits.leastMs)} at least (${limits.calls} times ${limits.action}): ${limits.leastMs < boundMs ? 'they do not bind' : 'they bind'}
ours ${seconds(oursMs)}, ratio ${ratio}`)
  const parts = {
    firstMs,
    othersMs: machinesMs - firstMs,
    watchMs,
    limitsMs: Math.round(limits.leastMs),
    atOnce: lanes.length,
  }
  const verdict = { ratio, goal, ok: ratio <= goal }
  return {
    bench: 'rollout',
    machines: took.length,
    oursMs,
    boundMs,
    ...parts,
    ...verdict,
    fly: 'localfly (a stand-in)',
  }
}

/** The calls that no rollout can avoid, for the action and id that Fly's limits slow down most. */
function slowestCalls(machineMs: number, watchMs: number) {
  const watched = 1 + Math.ceil(watchMs / 2000) // one list of all machines every two seconds
  const needed = {
    list: 1 + watched,
    lease: 1 + Math.floor(machineMs / 4000), // acquired, and renewed
    update: 1,
    wait: 1,
    get: 3, // before the update, when it has settled, when it is healthy
    'release-lease': 1,
  }
  const all = Object.entries(needed).map(([action, calls]) => {
    const { everyMs, burst } = limitsOf(action)
    return { action, calls, leastMs: Math.max(0, calls - burst) * everyMs }
  })
  return all.toSorted((a, b) => b.leastMs - a.leastMs)[0]!
}

async function deploy(lab: Lab, source: string, page: string): Promise<Deployment> {
  await writeFile(join(source, 'index.html'), page)
  const deployment = await deployFolder(lab, app, source)
  if (deployment.state === 'live') return deployment
  throw new Error(
    `Deployment ${deployment.id} is ${deployment.state}: ${deployment.problem?.detail}`,
  )
}

async function fromDeployingToLive(lab: Lab, id: string): Promise<number> {
  const headers = { authorization: `Bearer ${lab.token}`, accept: 'application/x-ndjson' }
  const log = await (await fetch(lab.gateway + fill(routes.events, { id }), { headers })).text()
  const messages = log
    .split('\n')
    .flatMap((line) => (line ? [JSON.parse(line) as StreamMessage] : []))
  const at = (state: string) =>
    messages.flatMap((one) =>
      'seq' in one && one.type === 'state' && one.state === state ? [Date.parse(one.at)] : [],
    )
  return at('live')[0]! - at('deploying')[0]!
}

/**
 * A real flyctl, if there is one on PATH, updates the same machines to another image. It does not
 * watch them afterwards.
 */
async function byFlyctl(lab: Lab, source: string, image: string): Promise<number | null> {
  const urls = {
    FLY_FLAPS_BASE_URL: lab.flyApi,
    FLY_API_BASE_URL: lab.flyApi,
    FLY_UIEX_BASE_URL: lab.flyApi,
  }
  const quiet = {
    FLY_SEND_METRICS: '0',
    FLY_SYNTHETICS_AGENT: '0',
    FLY_NO_UPDATE_CHECK: '1',
    CI: '1',
  }
  const isolated = {
    HTTPS_PROXY: 'http://127.0.0.1:1',
    NO_PROXY: '127.0.0.1',
    FLY_TRACE_COLLECTOR_URL: '127.0.0.1',
  }
  const own = {
    PATH: process.env['PATH'],
    HOME: source,
    FLY_CONFIG_DIR: source,
    FLY_ACCESS_TOKEN: lab.flyToken,
  }
  const env = { ...own, ...urls, ...quiet, ...isolated }
  const words = ['deploy', '--image', image, '--ha=false', '--dns-checks=false', '--yes']
  const startedAt = performance.now()
  try {
    await promisify(execFile)('flyctl', words, { cwd: source, env, timeout: 600_000 })
    const tookMs = Math.round(performance.now() - startedAt)
    console.log(`flyctl ${(tookMs / 1000).toFixed(1)} s, without a watch`)
    return tookMs
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    console.log(
      isMissing
        ? 'flyctl is not on PATH: no comparison with it'
        : `flyctl: ${(error as Error).message}`,
    )
    return null
  }
}

export const rollout = { about, run }
