/**
 * `npm run demo`: the main use on real input, from a bare shell and with the client. It ends with
 * `demo: live`. With `--appliance`: the same through the shipped image, which runs as a machine.
 * With `--previews`: short-lived machines.
 */
import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Deployment, DeploymentPage, DeploymentState } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { exitCodeOf } from '#api/problem/exit-codes.ts'
import { fill, routes } from '#api/routes.ts'
import { applianceStory } from './demo-appliance.ts'
import { previewStory } from './demo-previews.ts'
import { startLab, type Lab } from './start-lab.ts'
import { errorMessage } from '#api/error-code.ts'

const root = join(import.meta.dirname, '..')
const { values } = parseArgs({
  options: {
    appliance: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    port: { type: 'string', default: '8411' },
    previews: { type: 'boolean', default: false },
  },
})

const dir = join(root, '.lab/demo')
type Row = { what: string; seconds: string; steps: string; digest: string; url: string }

try {
  const started = performance.now()
  await using lab = await startLab({
    dir,
    fresh: true, // every run shows everything, with nothing built before
    port: Number(values.port),
    settings: { TARMAC_WATCH: '2', TARMAC_MACHINE_TIMEOUT: '20' },
    say: (line) => console.log(line),
  })
  const work = await mkdtemp(join(tmpdir(), 'tarmac-demo-'))
  try {
    if (values.appliance) await applianceStory(lab, work)
    else if (values.previews) await previewStory(lab)
    else console.log(table(await story(lab, work)))
  } finally {
    await rm(work, { recursive: true })
  }
  console.log(
    `Stand-ins here: localfly for Fly${lab.planner.standIn ? `, planner ${lab.planner.version} for railpack` : ''}; base images made of Debian packages.`,
  )
  console.log(`demo: finished in ${seconds(performance.now() - started)}`)
  if (values.keep) {
    console.log(
      `The lab is still running at ${lab.gateway} (tokens in ${lab.dir}/lab.json); stop it with Ctrl-C.`,
    )
    await new Promise((stop) => process.once('SIGINT', stop).once('SIGTERM', stop))
  }
} catch (error) {
  console.error(`demo: failed: ${errorMessage(error)}`)
  console.error(`Logs of every part are in ${dir}/*.log`)
  process.exit(1)
}
console.log('demo: live')
process.exit(0)

async function story(lab: Lab, work: string): Promise<Row[]> {
  const rows: Row[] = []
  for (const example of ['hello-node', 'hello-dockerfile', 'hello-python']) {
    say(`${example}: tar | curl`)
    await shell(
      `tar cz -C "$SOURCE" . | curl -sSNT - -H "Authorization: Bearer $T" "$GATEWAY/deploy/${example}"`,
      {
        SOURCE: join(root, 'examples', example),
        T: lab.token,
        GATEWAY: lab.gateway,
      },
    )
    rows.push(await rowOf(lab, example, 'tar | curl'))
    await expectPage(lab, example, 'Hello')
    if (example === 'hello-node')
      rows.push(await changeOneLine(lab, work), await fallIll(lab, work))
  }
  return rows
}

async function changeOneLine(lab: Lab, work: string): Promise<Row> {
  say('hello-node: one line changed, deployed with the client')
  const source = join(work, 'hello-node')
  await cp(join(root, 'examples/hello-node'), source, { recursive: true })
  await change(join(source, 'server.js'), 'Hello', 'Hello again')
  await shell('npx --no-install tarmac deploy hello-node "$SOURCE"', clientEnv(lab, source))
  await expectPage(lab, 'hello-node', 'Hello again')
  return rowOf(lab, 'hello-node', 'client, one line changed')
}

/** Deploys a version that fails its check, and that the gateway rolls back. */
async function fallIll(lab: Lab, work: string): Promise<Row> {
  say('hello-node: a version that fails its check')
  const source = join(work, 'hello-node')
  await change(
    join(source, 'server.js'),
    "response.end('ok\\n')",
    "response.writeHead(500).end('ill\\n')",
  )
  await shell(
    'npx --no-install tarmac deploy hello-node "$SOURCE"',
    clientEnv(lab, source),
    exitCodeOf['deploy-failed'],
  )
  await expectPage(lab, 'hello-node', 'Hello again')
  return rowOf(lab, 'hello-node', 'fails its check: rolled back', 'deploy_failed')
}

/** The last deployment of an app, from its record. An unexpected end stops the demo. */
async function rowOf(
  lab: Lab,
  app: string,
  how: string,
  end: DeploymentState = 'live',
): Promise<Row> {
  const { deployments } = await read<DeploymentPage>(
    lab,
    `${fill(routes.deployments, { app })}?limit=1`,
  )
  const deployment = deployments[0] as Deployment
  if (deployment?.state !== end)
    throw new Error(`${app} is ${deployment?.state}: ${deployment?.problem?.detail}`)
  const log = await read<DeploymentEvent[]>(lab, fill(routes.events, { id: deployment.id }))
  const steps = log.flatMap((event) =>
    event.type === 'step' && event.status !== 'started' ? [event] : [],
  )
  const cached = new Set(steps.filter(({ status }) => status === 'cached').map(({ step }) => step))
    .size
  return {
    what: `${app} (${how})`,
    seconds: seconds(Date.parse(deployment.endedAt ?? '') - Date.parse(deployment.createdAt)),
    steps: `${cached} of ${new Set(steps.map(({ step }) => step)).size} cached`,
    digest: deployment.image?.digest.slice(0, 19) ?? '',
    url: deployment.url ?? '',
  }
}

async function expectPage(lab: Lab, app: string, words: string): Promise<void> {
  const page = await shell('curl -sS --max-time 10 -H "Host: $APP.localhost" "$APPS/"', {
    APP: app,
    APPS: lab.apps,
  })
  if (!page.includes(words)) throw new Error(`the page of ${app} does not say "${words}"`)
}

async function read<T>(lab: Lab, path: string): Promise<T> {
  const headers = {
    authorization: `Bearer ${lab.token}`,
    accept: path.includes('/events') ? 'application/x-ndjson' : 'application/json',
  }
  const answer = await fetch(lab.gateway + path, { headers, signal: AbortSignal.timeout(10_000) })
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
  const text = await answer.text()
  return JSON.parse(path.includes('/events') ? `[${text.trim().split('\n').join(',')}]` : text) as T
}

async function change(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(file, 'utf8')
  if (!text.includes(from)) throw new Error(`${file} has no ${from} to change`)
  await writeFile(file, text.replace(from, to))
}

function clientEnv(lab: Lab, source: string): Record<string, string> {
  return { SOURCE: source, TARMAC_GATEWAY: lab.gateway, TARMAC_TOKEN: lab.token }
}

/**
 * Runs a command as a person would, and shows it with its output. It must exit with the expected
 * code.
 */
async function shell(line: string, env: Record<string, string>, exitCode = 0): Promise<string> {
  console.log(`$ ${line}`)
  const child = spawn('sh', ['-c', line], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const printed: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => {
    process.stdout.write(chunk)
    printed.push(chunk)
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  if (code !== exitCode) throw new Error(`\`${line}\` ended with ${code}`)
  return Buffer.concat(printed).toString()
}

function table(rows: Row[]): string {
  const head: Row = { what: 'what', seconds: 'took', steps: 'steps', digest: 'image', url: 'URL' }
  const names = Object.keys(head) as (keyof Row)[]
  const width = (name: keyof Row) => Math.max(...[head, ...rows].map((row) => row[name].length))
  return [head, ...rows]
    .map((row) =>
      names
        .map((name) => row[name].padEnd(width(name)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

function say(line: string): void {
  console.log(`\n== ${line}`)
}
