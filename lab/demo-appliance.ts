/**
 * `npm run demo -- --appliance`: the whole loop of the appliance as a story. `tarmac up` makes it as
 * on Fly, with an image of `gateway/Dockerfile`; it deploys an app, dies, and goes on with a warm
 * cache; `tarmac down` removes it.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import { type Appliance, applianceAt } from './appliance.ts'
import { labBuilder, upInLab } from './parts/up-in-lab.ts'
import type { Lab } from './start-lab.ts'
import { askFly, deployFolder, readPage } from './use-lab.ts'

const app = 'hello-node'
const root = join(import.meta.dirname, '..')

/** `work` is an empty folder. */
export async function applianceStory(lab: Lab, work: string): Promise<void> {
  const source = join(work, app)
  await cp(join(root, 'examples', app), source, { recursive: true })

  say('tarmac up: from nothing to a builder. The options after --volume are only for the lab')
  await tarmac(lab, 'up', ...upInLab(lab).options)
  const appliance = await builderOf(lab)

  say('tarmac builder status: here asked by a command inside the machine')
  await tarmac(lab, 'builder', 'status')

  say(`${app}: built inside the machine, live on Fly's other machines`)
  await deploy(lab, appliance, source)

  say('The machine is killed (SIGKILL). Its restart policy starts it again, on the same volume')
  await appliance.kill()
  const ms = await appliance.ready()
  console.log(`ready again after ${(ms / 1000).toFixed(1)} s`)

  say(`${app} with one line changed: the steps before that line come from the cache`)
  const server = join(source, 'server.js')
  await writeFile(server, (await readFile(server, 'utf8')).replaceAll('Hello', 'Hello again'))
  await deploy(lab, appliance, source)

  say('tarmac down --delete-volume: the builder goes; the app runs on')
  await tarmac(lab, 'down', '--delete-volume')
  console.log((await readPage(lab, app)).body.trim())
}

/** Runs the client of this checkout as a user does. */
async function tarmac(lab: Lab, ...words: string[]): Promise<void> {
  console.log(`$ tarmac ${words.join(' ')}`)
  const env = { PATH: process.env['PATH'], ...upInLab(lab).env }
  const client = join(root, 'client/src/main.ts')
  const child = spawn(process.execPath, [client, ...words], { env, stdio: 'inherit' })
  const [code]: unknown[] = await once(child, 'exit')
  if (code !== 0) throw new Error(`tarmac ${words[0]} ended with exit code ${String(code)}`)
}

async function builderOf(lab: Lab): Promise<Appliance> {
  const path = `/apps/${labBuilder}/machines`
  const [machine] = await askFly<{ id: string }[]>(lab, 'GET', path)
  const file = join(upInLab(lab).env.XDG_CONFIG_HOME, 'tarmac', `${labBuilder}.env`)
  const token = /^TARMAC_TOKEN=(.*)$/m.exec(await readFile(file, 'utf8'))?.[1]
  if (!machine || !token) throw new Error(`tarmac up has made no machine, or no ${file}`)
  return applianceAt(lab, { app: labBuilder, id: machine.id, token })
}

async function deploy(lab: Lab, appliance: Appliance, source: string): Promise<void> {
  const record = await deployFolder(appliance, app, source)
  if (record.state !== 'live')
    throw new Error(`${app} is ${record.state}: ${record.problem?.detail}`)
  const page = (await readPage(lab, app)).body.trim()
  console.log(`live after ${took(record)}, ${await stepsOf(appliance, record)}: ${page}`)
}

async function stepsOf({ gateway, token }: Appliance, { id }: Deployment): Promise<string> {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/x-ndjson' }
  const answer = await fetch(gateway + fill(routes.events, { id }), { headers })
  const lines = (await answer.text()).trim().split('\n')
  const events = lines.map((line) => JSON.parse(line) as DeploymentEvent)
  const steps = events.flatMap((event) =>
    event.type === 'step' && event.status !== 'started' ? [event] : [],
  )
  const names = (all: typeof steps) => new Set(all.map(({ step }) => step)).size
  const cached = names(steps.filter(({ status }) => status === 'cached'))
  return `${cached} of ${names(steps)} steps cached`
}

function took({ createdAt, endedAt }: Deployment): string {
  return `${((Date.parse(endedAt ?? '') - Date.parse(createdAt)) / 1000).toFixed(1)} s`
}

const say = (line: string) => console.log(`\n== ${line}`)
