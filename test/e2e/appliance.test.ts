import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { DoctorReport } from '#api/doctor/report.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import { findBuilder } from '../../client/src/builder/find-builder.ts'
import { readBuilder } from '../../client/src/builder/read-status.ts'
import { readSideFile } from '../../client/src/up/side-file.ts'
import { type Appliance, applianceAt } from '../../lab/appliance.ts'
import { labBuilder, upInLab } from '../../lab/parts/up-in-lab.ts'
import { askFly, deployFolder, readPage } from '../../lab/use-lab.ts'
import { made, patch, tus } from '../gateway/http/uploads/tus-calls.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'
import { startEnv } from '../start-env.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_MACHINE_TIMEOUT: '60' }),
  (fresh) => {
    lab = fresh
  },
)

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)
const app = labBuilder
/** Two builds fetch Debian packages. */
const loopMs = 900_000

test(
  'up builds and starts the shipped image; it deploys, survives a kill with a warm cache, sleeps, is upgraded, and goes',
  { timeout: loopMs },
  async () => {
    const made = await tarmac({}, 'up', ...upInLab(lab).options)
    expect(made).toMatchObject({ appName: app, port: 80 })

    const { TARMAC_TOKEN: token = '' } = readSideFile(made['file'] as string)!
    const appliance = await applianceAt(lab, { app, id: made['machineId'] as string, token })
    // Only the builder's own machine is left: the one that built the image is gone.
    expect(await askFly(lab, 'GET', `/apps/${app}/machines`)).toMatchObject([{ id: appliance.id }])

    await isMachine(appliance)
    await startsTheGatewayAgain(appliance)
    await deploysThroughTheMirror(appliance)
    await examinedFromInside(appliance)

    const upload = await halfAnUpload(appliance)
    await appliance.kill()
    await appliance.ready()
    await isHalf(appliance, upload)
    const second = await deploy(appliance, 'two')
    expect(await cachedSteps(appliance, second.id)).toContain('[2/3] RUN echo prepared')

    await stopsWhenIdle(appliance)
    await isHalf(appliance, upload)

    // The builder builds its own next image.
    const reach = { TARMAC_GATEWAY: appliance.gateway, TARMAC_TOKEN: token }
    expect(await tarmac(reach, 'upgrade')).toMatchObject({ changed: true })
    const third = await deploy(appliance, 'three')
    expect(third.number).toBe(3)

    await tarmac({}, 'down', '--delete-volume')
    const { apps } = await askFly<{ apps: { name: string }[] }>(
      lab,
      'GET',
      '/apps?org_slug=personal',
    )
    expect(apps.map(({ name }) => name)).toEqual(['page'])
  },
)

/** Runs the client in this checkout as a user does. Returns its result. */
async function tarmac(
  more: Record<string, string>,
  ...words: string[]
): Promise<Record<string, unknown>> {
  const env = { ...startEnv, ...upInLab(lab).env, ...more }
  const client = join(root, 'client/src/main.ts')
  const { stdout } = await run(process.execPath, [client, ...words, '--json'], { cwd: root, env })
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, unknown>
}

async function deploy(appliance: Appliance, text: string) {
  const files = pageApp(text, 'RUN echo prepared')
  const deployment = await deployFolder(appliance, 'page', await lab.source(files))
  expect(deployment.state).toBe('live')
  expect((await readPage(lab, 'page')).body).toBe(text)
  return deployment
}

/** The gateway in it knows that this is a machine of Fly, and only what must be root is root. */
async function isMachine(appliance: Appliance): Promise<void> {
  const own = `const { ownMachine } = await import('/tarmac/gateway/src/host/own-machine.ts')
    const { readConfig } = await import('/tarmac/gateway/src/config.ts')
    console.log(JSON.stringify(await ownMachine(readConfig(process.env).machine)))`
  const found = await appliance.exec('node', '--input-type=module', '--eval', own)
  expect(JSON.parse(found)).toMatchObject({ id: appliance.id, app, memoryMb: 4096 })

  const users = await appliance.exec('sh', '-c', usersOfProcesses)
  expect(users.trim().split('\n').toSorted()).toEqual([
    '0 /usr/local/bin/buildkitd',
    '0 node',
    '10001 /usr/local/bin/node',
  ])

  // Root at a shell of the machine leaves no files that the gateway cannot use.
  await appliance.exec('tarmac-gateway', 'backup', '/tmp/records.db')
  expect(await appliance.exec('stat', '--format=%U', '/tmp/records.db')).toBe('tarmac\n')
}

/** A gateway that dies is started again without a new boot of the machine. */
async function startsTheGatewayAgain(appliance: Appliance): Promise<void> {
  const killed = await appliance.exec('sh', '-c', killGateway)
  expect(killed).toBe('1\n')
  await appliance.ready()
  expect(await askFly(lab, 'GET', `/apps/${app}/machines`)).toMatchObject([
    {
      state: 'started',
      events: expect.not.arrayContaining([expect.objectContaining({ type: 'exit' })]),
    },
  ])
}

/** Kills the Node processes of the gateway's user, and prints how many. */
const killGateway = String.raw`
count=0
for each in /proc/[0-9]*; do
  [ "$(awk '/^Uid:/ { print $2 }' $each/status 2>/dev/null)" = 10001 ] || continue
  case $(tr '\0' ' ' < $each/cmdline) in */node\ *) kill -9 $(basename $each) && count=$((count + 1)) ;; esac
done
echo $count`

/** The image goes through the mirror of the machine's host, and the app's machines say so. */
async function deploysThroughTheMirror(appliance: Appliance): Promise<void> {
  const { image } = await deploy(appliance, 'one')
  expect(image?.push).toMatchObject({ via: 'mirror', machine: appliance.id })
  expect(await askFly(lab, 'GET', '/apps/page/machines')).toMatchObject([
    { config: { metadata: { fly_builder_id: appliance.id } } },
  ])
}

/** One line for each process of Node and each build daemon: its user and its program. */
const usersOfProcesses = String.raw`
for each in /proc/[0-9]*; do
  program=$(tr '\0' '\n' 2>/dev/null < $each/cmdline | head -n 1)
  case $program in */node | node | */buildkitd)
    echo "$(awk '/^Uid:/ { print $2 }' $each/status) $program" ;;
  esac
done`

/** The idle gateway ends its machine by itself. The next request starts it, and waits. */
const bearer = ({ token }: Appliance) => ({ Authorization: `Bearer ${token}` })

/** Begins a resumable upload of 6 bytes. Returns its address. */
async function halfAnUpload(appliance: Appliance): Promise<string> {
  const { gateway } = appliance
  const path = await made(gateway, 6, {}, { token: bearer(appliance) })
  const sent = await patch(gateway, path, { at: 0, body: 'abc', token: bearer(appliance) })
  expect(sent.status).toBe(204)
  return path
}

/** The machine has stopped and started since, and the upload can go on. */
async function isHalf(appliance: Appliance, path: string): Promise<void> {
  const head = await tus(appliance.gateway, 'HEAD', {}, { path, token: bearer(appliance) })
  expect([head.status, head.get('Upload-Offset')]).toEqual([200, '3'])
}

async function stopsWhenIdle(appliance: Appliance): Promise<void> {
  await appliance.set({ TARMAC_IDLE_STOP: '4' })
  await appliance.reaches('stopped')
  const [end] = await askFly<{ type: string; request: object }[]>(
    lab,
    'GET',
    `/apps/${app}/machines/${appliance.id}/events?limit=1`,
  )
  const exit_event = { exit_code: 0, requested_stop: false, restarting: false }
  expect(end).toMatchObject({ type: 'exit', request: { exit_event } })

  await appliance.set({ TARMAC_IDLE_STOP: 'off' }) // it stays stopped
  await appliance.reaches('stopped')
  const { status } = await readPage(lab, app, { timeoutMs: 60_000 })
  expect(status).toBe(401) // it has no token
  await appliance.ready()
}

async function cachedSteps({ gateway, token }: Appliance, id: string): Promise<string[]> {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/x-ndjson' }
  const answer = await fetch(gateway + fill(routes.events, { id }), { headers })
  const lines = (await answer.text()).trim().split('\n')
  const events = lines.map((line) => JSON.parse(line) as DeploymentEvent)
  return events.flatMap((event) =>
    event.type === 'step' && event.status === 'cached' ? [event.name] : [],
  )
}

/** Without a way to its port, a command inside the machine gives its status and its findings. */
async function examinedFromInside({ id }: { id: string }): Promise<void> {
  const env = { FLY_API_TOKEN: lab.flyToken, FLY_FLAPS_BASE_URL: lab.flyApi, HOME: '/nowhere' }
  const builder = findBuilder({ app, gateway: 'http://127.0.0.1:1' }, env)
  const state = await readBuilder(builder, false, AbortSignal.timeout(60_000))
  expect(state.ways.at(-1)).toBe(`The gateway was asked by a command inside machine ${id}.`)
  expect(state.status).toMatchObject({ machine: { id, size: { memoryMb: 4096 } } })

  const run = { command: ['tarmac-gateway', 'doctor', '--json', '--push'], seconds: 120 }
  const answer = builder.fly!.builder.exec({ app, id }, run, AbortSignal.timeout(150_000))
  const { findings } = DoctorReport.parse(JSON.parse((await answer).stdout ?? ''))
  expect(findings.filter(({ answer }) => answer === 'failed')).toEqual([])
  expect(findings).toContainEqual(expect.objectContaining({ name: 'Flycast', answer: 'ok' }))
}
