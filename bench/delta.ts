import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import type { Deployment } from '../api/deployment.ts'
import { fill, routes } from '../api/routes.ts'
import { type Lab, startLab } from '../lab/start-lab.ts'
import { DeltaClient } from './delta-client.ts'
import type { Measure } from './measure.ts'
import { median } from './side-by-side.ts'
import { labOptions } from './warm-lab.ts'

const about =
  'one file changed in a large source, sent against the last tree, compared with rsync -az and with a whole tar.gz: [--files 20000] [--mb 400] [--runs 7]'

const run = promisify(execFile)
const appName = 'bench-delta'

/**
 * Each way begins with the same changed file on disk, and looks at all 20,000. Ours ends when the
 * gateway has the tree, synced; rsync ends without a sync. Bytes are those of the connections, with
 * the heads of HTTP. A round begins when the gateway has nothing left to do from the one before, as
 * between two deploys of a person: it makes the links of the next tree then.
 */
async function measureDelta(args: string[]): Promise<Measure[]> {
  const { port, dir } = labOptions
  const options = {
    port,
    dir,
    files: { type: 'string', default: '20000' },
    mb: { type: 'string', default: '400' },
    runs: { type: 'string', default: '7' },
  } as const
  const { values } = parseArgs({ args, options })
  const [files, mb, runs] = [Number(values.files), Number(values.mb), Number(values.runs)]
  await using lab = await startLab({
    dir: values.dir,
    port: Number(values.port),
    say: (line) => console.log(line),
  })
  const work = await mkdtemp(join(tmpdir(), 'tarmac-bench-delta-'))
  try {
    const source = join(work, 'source')
    await makeSource(source, { files, bytes: Math.round((mb * 1e6) / files) })
    return await compare(lab, { work, source, files, mb, runs })
  } finally {
    await rm(work, { recursive: true })
  }
}

type Shape = { work: string; source: string; files: number; mb: number; runs: number }

async function compare(lab: Lab, { work, source, files, mb, runs }: Shape): Promise<Measure[]> {
  const cache = join(work, 'cache')
  const client = new DeltaClient(lab, { app: appName, folder: source, cache })
  const mirror = join(work, 'mirror')
  console.log(`first: ${JSON.stringify(await client.send())}`)
  await rsync(work, source, mirror)

  const times = { ours: [] as number[], rsync: [] as number[] }
  const bytes = { ours: [] as number[], rsync: [] as number[] }
  for (let round = 0; round < runs; round++) {
    await untilIdle(lab.gatewayProcess.pid)
    await writeFile(join(source, pathOf(round * 37)), contentOf(Math.round((mb * 1e6) / files)))
    for (const who of round % 2 === 0
      ? (['ours', 'rsync'] as const)
      : (['rsync', 'ours'] as const)) {
      const found = who === 'ours' ? await client.send() : await rsync(work, source, mirror)
      times[who].push(found.ms)
      bytes[who].push(found.bytes)
      console.log(`  ${who} ${JSON.stringify(found)}`)
    }
  }
  const wholeMs = await sendWhole(lab, source)
  console.log(`  a whole tar.gz: ${Math.round(wholeMs)} ms`)
  client.close()

  const facts = { files, mb, runs }
  const [oursMs, rsyncMs] = [median(times.ours), median(times.rsync)]
  const [oursBytes, rsyncBytes] = [median(bytes.ours), median(bytes.rsync)]
  return [
    measure('delta-bytes', oursBytes / rsyncBytes, 1.2, { oursBytes, rsyncBytes, ...facts }),
    measure('delta-time', oursMs / rsyncMs, 1.5, { oursMs, rsyncMs, ...facts }),
    measure('delta-whole', oursMs / wholeMs, 0.1, { oursMs, wholeMs, ...facts }),
  ]
}

function measure(
  bench: string,
  exact: number,
  goal: number,
  facts: Record<string, number>,
): Measure {
  const ratio = Math.round(exact * 1000) / 1000
  const rounded = Object.entries(facts).map(([name, value]) => [name, Math.round(value)])
  return { bench, ratio, goal, ok: ratio <= goal, ...Object.fromEntries(rounded) }
}

/** rsync over a pipe, as over ssh. Bytes in both directions, as it counts them. */
async function rsync(
  work: string,
  from: string,
  to: string,
): Promise<{ ms: number; bytes: number }> {
  const shell = join(work, 'shell')
  await writeFile(shell, '#!/bin/sh\nshift\nexec "$@"\n', { mode: 0o755 })
  const start = performance.now()
  const { stdout } = await run('rsync', ['-az', '--stats', '-e', shell, `${from}/`, `here:${to}/`])
  const ms = performance.now() - start
  const counted = [...stdout.matchAll(/^Total bytes (?:sent|received): ([\d,]+)$/gm)]
  const bytes = counted.reduce((sum, [, digits]) => sum + Number(digits!.replaceAll(',', '')), 0)
  return { ms, bytes }
}

/** A whole archive, until it is on the gateway's disk. Its deployment is cancelled. */
async function sendWhole(lab: Lab, source: string): Promise<number> {
  const address = lab.gateway + fill(routes.deployments, { app: appName })
  const authorization = `Authorization: Bearer ${lab.token}`
  const start = performance.now()
  const tar = spawn('tar', ['cz', '-C', source, '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const curl = spawn(
    'curl',
    ['-sS', '-X', 'POST', '-T', '-', '-H', authorization, `${address}?deploy=false`],
    {
      stdio: [tar.stdout, 'pipe', 'inherit'],
    },
  )
  const text = (await Array.fromAsync(curl.stdout)).join('')
  const ms = performance.now() - start
  const { id } = JSON.parse(text) as Deployment
  const headers = { authorization: `Bearer ${lab.token}` }
  await fetch(lab.gateway + fill(routes.cancel, { id }), { method: 'POST', headers })
  return ms
}

/** Resolves when a process has used less than 2 % of a processor for half a second. */
async function untilIdle(pid: number): Promise<void> {
  const ticks = async () => {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ')
    return Number(fields[11]) + Number(fields[12])
  }
  for (let before = -Infinity, now = await ticks(); now - before > 1; now = await ticks()) {
    before = now
    await sleep(500)
  }
}

const pathOf = (at: number) => `src/part-${at % 200}/file-${at}.txt`

/** It compresses to about half. */
const contentOf = (bytes: number) =>
  randomBytes(Math.ceil(bytes / 2))
    .toString('hex')
    .slice(0, bytes)

async function makeSource(folder: string, { files, bytes }: { files: number; bytes: number }) {
  for (let part = 0; part < 200; part++)
    await mkdir(join(folder, `src/part-${part}`), { recursive: true })
  for (let at = 0; at < files; at++) await writeFile(join(folder, pathOf(at)), contentOf(bytes))
}

export const delta = { about, run: measureDelta }
