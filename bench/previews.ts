import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Preview, PreviewPage } from '../api/previews/preview.ts'
import { fill, routes } from '../api/routes.ts'
import { type Lab, startLab } from '../lab/start-lab.ts'
import { askFly, deployFolder } from '../lab/use-lab.ts'
import type { Measure } from './measure.ts'
import { app, ask, createByHand, untilAnswer } from './preview-calls.ts'
import { compareClaims } from './preview-claims.ts'
import { median, sideBySide } from './side-by-side.ts'

const about =
  'previews: from the request to the first answer of the machine, compared with the same calls by hand, a list of many owners, and what a pool gives: [--runs 8] [--owners 100] [--parts create,list,claim]'
const goal = 1.15
const listGoalMs = 20
/** Fly allows one new app a second, three at once. Neither way waits for that. */
const pauseMs = 3000
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
      parts: { type: 'string', default: 'create,list,claim' },
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
    const [runs, owners] = [Number(values.runs), Number(values.owners)]
    const parts: Record<string, () => Promise<Measure>> = {
      create: () => compare(lab, image.reference, runs),
      list: () => listing(lab, image.reference, owners),
      claim: () => compareClaims(lab, image.reference, runs),
    }
    const measures: Measure[] = []
    for (const part of values.parts.split(',')) measures.push(await parts[part]!())
    return measures
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
      await createByHand(lab, name, image)
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

export const previews = { about, run }
