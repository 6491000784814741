import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Preview, PreviewPage } from '../api/previews/preview.ts'
import { fill, routes } from '../api/routes.ts'
import { type Lab, startLab } from '../lab/start-lab.ts'
import { askFly, deployFolder, readPage } from '../lab/use-lab.ts'
import type { Measure } from './measure.ts'
import { median, sideBySide } from './side-by-side.ts'

const about =
  'previews: from the request to the first answer of the machine, compared with the same calls by hand, and a list of many owners: [--runs 8] [--owners 100]'
const goal = 1.15
const listGoalMs = 20
/** Fly allows one new app a second, three at once. Neither way waits for that. */
const pauseMs = 3000
const app = 'bench-previews'
const files = {
  Dockerfile:
    'FROM alpine\nCOPY index.html /www/\nCMD ["httpd", "-f", "-p", "8080", "-h", "/www"]\n',
  'index.html': 'hello',
}

async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: 'string', default: '8' },
      owners: { type: 'string', default: '100' },
      port: { type: 'string', default: '8451' },
      dir: { type: 'string', default: '.lab-bench' },
    },
  })
  const { dir, port } = values
  const say = (line: string) => console.log(line)
  const settings = { TARMAC_PREVIEWS_PER_OWNER: '100', TARMAC_MAX_PREVIEWS: '1000' }
  await using lab = await startLab({ dir, port: Number(port), settings, say })
  const source = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(source, name), text)
    const { image, state, problem } = await deployFolder(lab, app, source, {})
    if (!image) throw new Error(`the deployment is ${state}: ${problem?.detail}`)
    const compared = await compare(lab, image.reference, Number(values.runs))
    return [compared, await listing(lab, image.reference, Number(values.owners))]
  } finally {
    await rm(source, { recursive: true })
  }
}

/** Each preview is removed outside the measured time, so that no way's removal slows the other. */
async function compare(lab: Lab, image: string, runs: number): Promise<Measure> {
  let number = 0
  const compared = await sideBySide(runs, {
    before: () => sleep(pauseMs),
    async ours() {
      const startedAt = performance.now()
      const body = { app, owner: `owner-${number++}`, source: { image } }
      const preview = await ask<Preview>(lab, 'POST', `${routes.previews}?wait=true`, body)
      await untilAnswer(lab, preview.flyApp)
      const tookMs = performance.now() - startedAt
      const path = fill(routes.preview, { id: preview.id })
      await ask(lab, 'DELETE', path)
      while ((await ask<Preview>(lab, 'GET', path)).endedAt === null);
      return tookMs
    },
    async theirs() {
      const startedAt = performance.now()
      const name = `by-hand-${Date.now()}`
      await byHand(lab, name, image)
      const tookMs = performance.now() - startedAt
      await askFly(lab, 'DELETE', `/apps/${name}?force=true`)
      return tookMs
    },
  })
  return {
    bench: 'previews',
    what: 'create to ready',
    runs,
    ...compared,
    goal,
    ok: compared.ratio <= goal,
  }
}

/** As the Machines API's guide does it: an app with its network and address, a machine, a wait. */
async function byHand(lab: Lab, name: string, image: string): Promise<void> {
  await askFly(lab, 'POST', '/apps', { name, org_slug: 'personal', network: name })
  await askFly(lab, 'POST', `/apps/${name}/ip_assignments`, { type: 'private_v6' })
  const service = {
    protocol: 'tcp',
    internal_port: 8080,
    autostart: true,
    autostop: 'stop',
    ports: [{ port: 80, handlers: ['http'] }],
  }
  const guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 512 }
  const { id } = await askFly<{ id: string }>(lab, 'POST', `/apps/${name}/machines`, {
    name: 'app-1',
    config: { image, guest, services: [service] },
  })
  await askFly(lab, 'GET', `/apps/${name}/machines/${id}/wait?state=started&timeout=60`)
  await untilAnswer(lab, name)
}

/** The first answer is what a user waits for. */
async function untilAnswer(lab: Lab, name: string): Promise<void> {
  const isUp = async () => (await readPage(lab, name)).body === 'hello'
  while (!(await isUp().catch(() => false)));
}

/** With the machines of all these owners running. */
async function listing(lab: Lab, image: string, owners: number): Promise<Measure> {
  const list = () => ask<PreviewPage>(lab, 'GET', `${routes.previews}?limit=100&state=ready`)
  for (let each = 0; each < owners; each++)
    await ask(lab, 'POST', routes.previews, { app, owner: `many-${each}`, source: { image } })
  let { previews } = await list()
  while (previews.length < owners) ({ previews } = await list())

  const times: number[] = []
  for (let round = 0; round < 20; round++) {
    const startedAt = performance.now()
    await list()
    times.push(performance.now() - startedAt)
  }
  for (const { id } of previews) await ask(lab, 'DELETE', fill(routes.preview, { id }))
  const ms = Math.round(median(times) * 10) / 10
  console.log(`  a list of ${owners} owners: ${ms} ms`)
  const [what, ratio] = ['list', Math.round((ms / listGoalMs) * 1000) / 1000]
  return { bench: 'previews', what, owners, ms, ratio, goal: 1, ok: ratio <= 1 }
}

async function ask<T>(lab: Lab, method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(lab.gateway + path, {
    method,
    headers: { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!response.ok)
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.json() as Promise<T>
}

export const previews = { about, run }
