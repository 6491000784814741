import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import { startLab, type Lab } from '../lab/start-lab.ts'
import { ByHand } from './by-hand.ts'
import type { Measure } from './main.ts'
import { median } from './median.ts'
import { editSampleApp, makeSampleApp, pack } from './sample-app.ts'

const about =
  'a redeploy of an app that is built already: [--files 300] [--edit none|one] [--runs 10] [--mode warm|rebuild]'
const goal = 1

/** Ours is timed from the last byte sent to the `built` event: planned, solved, pushed, and read back from the registry. */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      files: { type: 'string', default: '300' },
      edit: { type: 'string', default: 'none' },
      runs: { type: 'string', default: '10' },
      mode: { type: 'string' },
      port: { type: 'string', default: '8451' },
      dir: { type: 'string', default: '.lab-bench' },
    },
  })
  const files = Number(values.files)
  const runs = Number(values.runs)
  await using lab = await startLab({ dir: values.dir, port: Number(values.port), say: (line) => console.log(line) })
  const work = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  try {
    const app = join(work, 'app')
    const archive = join(work, 'app.tar.gz')
    await makeSampleApp(app, files)
    await pack(app, archive)
    const gateway = new ByGateway(lab)
    await gateway.redeploy(archive, false) // the first of each makes everything warm
    await makeApp(lab, handApp)
    const hand = new ByHand({ lab, app: handApp, dir: join(work, 'by-hand') })
    await hand.prepare(archive)
    await hand.redeploy(archive, { rebuild: false })

    let edits = Date.now() // what was built in this folder before must not be met again
    const measures: Measure[] = []
    for (const mode of ['warm', 'rebuild'].filter((each) => (values.mode ?? each) === each)) {
      const rebuild = mode === 'rebuild'
      const times: { byHand: number; ours: Times }[] = []
      console.log(`\n${mode}, ${files} files, ${values.edit === 'one' ? 'one file changed' : 'nothing changed'}:`)
      for (let round = 0; round < runs; round++) {
        if (values.edit === 'one') {
          await editSampleApp(app, ++edits)
          await pack(app, archive)
        }
        const first = round % 2 === 0 ? await gateway.redeploy(archive, rebuild) : null
        const byHand = await hand.redeploy(archive, { rebuild })
        const ours = first ?? (await gateway.redeploy(archive, rebuild))
        times.push({ byHand, ours })
        const parts = Object.entries(ours.parts).map(([state, ms]) => `${state} ${ms}`)
        console.log(`  by hand ${Math.round(byHand)} ms, gateway ${ours.totalMs} ms (${parts.join(', ')})`)
      }
      const byHandMs = median(times.map(({ byHand }) => byHand))
      const gatewayMs = median(times.map(({ ours }) => ours.totalMs))
      const ratio = Math.round((gatewayMs / byHandMs) * 1000) / 1000
      console.log(`  medians: by hand ${Math.round(byHandMs)} ms, gateway ${gatewayMs} ms, ratio ${ratio}`)
      measures.push({
        bench: 'redeploy',
        mode,
        files,
        edit: values.edit,
        runs,
        byHandMs: Math.round(byHandMs),
        gatewayMs,
        ratio,
        goal,
        ok: ratio <= goal,
        gatewayMiB: await memoryMiB(lab.gatewayProcess.pid),
        planner: lab.planner.version,
        byHandThrough: lab.planner.standIn ? 'our compiled plan' : "railpack's frontend",
        fly: 'localfly (a stand-in)',
      })
    }
    return measures
  } finally {
    await rm(work, { recursive: true })
  }
}

export const redeploy = { about, run }

const handApp = 'bench-by-hand'
const gatewayApp = 'bench-gateway'

/** `parts`: milliseconds that each state lasted, `receiving` until the record was made. */
type Times = { totalMs: number; parts: Record<string, number> }

class ByGateway {
  readonly #lab: Lab

  constructor(lab: Lab) {
    this.#lab = lab
  }

  async redeploy(archive: string, rebuild: boolean): Promise<Times> {
    const path = `${fill(routes.deployments, { app: gatewayApp })}?deploy=false&rebuild=${rebuild}`
    const { answer, sentAt } = await this.#send(path, await readFile(archive))
    const { id } = JSON.parse(answer) as Deployment
    const events = await fetch(this.#lab.gateway + fill(routes.events, { id }), {
      headers: { authorization: `Bearer ${this.#lab.token}`, accept: 'application/x-ndjson' },
    })
    const log = (await events.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as DeploymentEvent)
    const states = log.flatMap((event) => (event.type === 'state' ? [event] : []))
    const last = states.at(-1)
    if (last?.state !== 'built') throw new Error(`Deployment ${id} is ${last?.state}: ${JSON.stringify(last?.problem)}`)
    const parts: Record<string, number> = {}
    let from = sentAt
    let before = 'receiving'
    for (const { state, at } of states) {
      parts[before] = Date.parse(at) - from
      from = Date.parse(at)
      before = state
    }
    return { totalMs: Date.parse(last.at) - sentAt, parts }
  }

  /** `sentAt`: when the last byte was handed to the kernel, so that what is still on the line counts as the gateway's. */
  #send(path: string, body: Buffer): Promise<{ answer: string; sentAt: number }> {
    return new Promise((resolve, reject) => {
      let sentAt = 0
      const headers = { authorization: `Bearer ${this.#lab.token}`, 'content-length': body.length }
      const call = request(`${this.#lab.gateway}${path}`, { method: 'POST', headers }, (response) => {
        let answer = ''
        response.setEncoding('utf8').on('data', (text: string) => (answer += text))
        response.on('end', () => {
          if (response.statusCode === 202) resolve({ answer, sentAt })
          else reject(new Error(`${response.statusCode}: ${answer}`))
        })
      })
      call.on('error', reject).on('finish', () => (sentAt = Date.now()))
      call.end(body)
    })
  }
}

async function makeApp(lab: Lab, app: string): Promise<void> {
  const response = await fetch(`${lab.flyApi}/v1/apps`, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.flyToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ app_name: app, org_slug: 'personal' }),
  })
  if (!response.ok && response.status !== 422) throw new Error(`${app}: ${response.status} ${await response.text()}`)
}

async function memoryMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) / 1024)
}
