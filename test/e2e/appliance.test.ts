import { expect, test } from 'vitest'
import { DoctorReport } from '#api/doctor/report.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import { findBuilder } from '../../client/src/builder/find-builder.ts'
import { readBuilder } from '../../client/src/builder/read-status.ts'
import { type Appliance, buildAppliance, createAppliance } from '../../lab/appliance.ts'
import { askFly, deployFolder, readPage } from '../../lab/use-lab.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_MACHINE_TIMEOUT: '60' }),
  (fresh) => {
    lab = fresh
  },
)

const app = 'tarmac-builder'
/** The build fetches Debian packages. */
const buildMs = 600_000

test(
  'the shipped image is built here, runs as a machine, deploys, survives a kill with a warm cache, and goes',
  { timeout: buildMs },
  async () => {
    const { image } = await buildAppliance(lab, app)
    const appliance = await createAppliance(lab, { app, image })

    // The gateway in it knows that this is a machine of Fly, and not only by its environment.
    const own = `const { ownMachine } = await import('/tarmac/gateway/src/host/own-machine.ts')
    const { readConfig } = await import('/tarmac/gateway/src/config.ts')
    console.log(JSON.stringify(await ownMachine(readConfig(process.env).machine)))`
    const found = await appliance.exec('node', '--input-type=module', '--eval', own)
    expect(JSON.parse(found)).toMatchObject({ id: appliance.id, app, memoryMb: 4096 })

    // Only what must be root is root.
    const users = await appliance.exec('sh', '-c', usersOfProcesses)
    expect(users.trim().split('\n').toSorted()).toEqual([
      '0 /usr/local/bin/buildkitd',
      '0 node',
      '10001 /usr/local/bin/node',
    ])

    const first = await deployFolder(appliance, 'page', await lab.source(page('one')))
    expect(first.state).toBe('live')
    expect((await readPage(lab, 'page')).body).toBe('one')

    // In a machine of Fly the image goes through the mirror of its host, and its machines say so.
    expect(first.image?.push).toMatchObject({ via: 'mirror', machine: appliance.id })
    expect(await askFly(lab, 'GET', '/apps/page/machines')).toMatchObject([
      { config: { metadata: { fly_builder_id: appliance.id } } },
    ])

    // Root at a shell of the machine leaves no files that the gateway cannot use.
    await appliance.exec('tarmac-gateway', 'backup', '/tmp/records.db')
    expect(await appliance.exec('stat', '--format=%U', '/tmp/records.db')).toBe('tarmac\n')

    await examinedFromInside(appliance)

    await appliance.kill()
    await appliance.ready()

    const second = await deployFolder(appliance, 'page', await lab.source(page('two')))
    expect(second.state).toBe('live')
    expect((await readPage(lab, 'page')).body).toBe('two')
    expect(await cachedSteps(appliance, second.id)).toContain('[2/3] RUN echo prepared')

    await stopsWhenIdle(appliance)

    await appliance.destroy({ withVolume: true })
    expect(await askFly(lab, 'GET', `/apps/${app}/machines`)).toEqual([])
    expect(await askFly(lab, 'GET', `/apps/${app}/volumes`)).toEqual([])
  },
)

/** One line for each process of Node and each build daemon: its user and its program. */
const usersOfProcesses = String.raw`
for each in /proc/[0-9]*; do
  program=$(tr '\0' '\n' 2>/dev/null < $each/cmdline | head -n 1)
  case $program in */node | node | */buildkitd)
    echo "$(awk '/^Uid:/ { print $2 }' $each/status) $program" ;;
  esac
done`

const page = (text: string) => pageApp(text, 'RUN echo prepared')

/** The idle gateway ends its machine by itself. The next request starts it, and waits. */
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
  // The lab's machines have no names of Flycast.
  const bad = findings.filter(({ answer, name }) => answer === 'failed' && name !== 'Flycast')
  expect(bad).toEqual([])
}
