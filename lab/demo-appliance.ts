/**
 * `npm run demo -- --appliance`: the whole loop of the appliance as a story. Its image is built from
 * `gateway/Dockerfile`, runs as a machine, deploys an app, dies, and goes on with a warm cache.
 */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import { type Appliance, buildAppliance, createAppliance } from './appliance.ts'
import type { Lab } from './start-lab.ts'
import { deployFolder, readPage } from './use-lab.ts'

const builder = 'tarmac-builder'
const app = 'hello-node'
const examples = join(import.meta.dirname, '../examples')

/** `work` is an empty folder. */
export async function applianceStory(lab: Lab, work: string): Promise<void> {
  const source = join(work, app)
  await cp(join(examples, app), source, { recursive: true })

  say('The image: gateway/Dockerfile, built by the gateway of the lab')
  const { image, deployment } = await buildAppliance(lab, builder)
  console.log(`${image}, ${took(deployment)}`)

  say('The machine: a private one with a volume for records and cache')
  const appliance = await createAppliance(lab, { app: builder, image })
  console.log(`machine ${appliance.id} of ${builder} is ready: ${appliance.gateway}`)

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

  say('The machine and its volume are removed; the app runs on')
  await appliance.destroy({ withVolume: true })
  console.log((await readPage(lab, app)).body.trim())
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
