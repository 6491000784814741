import { randomUUID } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { DeploymentEvent } from '#api/event.ts'
import { isFinal } from '#api/deployment.ts'
import { workingStates } from '../../gateway/src/deployments/states.ts'
import { shareLab } from './shared-lab.ts'
import { type CrashLab, startCrashLab } from './crash-lab.ts'
import { pageApp } from './start.ts'

let lab: CrashLab
shareLab(
  () => startCrashLab(),
  (fresh) => void (lab = fresh),
)

const slowApp = (text: string, seconds: number) =>
  pageApp(text, `RUN echo ${randomUUID()}; sleep ${seconds}`)
const sleeping = (event: DeploymentEvent) => event.type === 'step' && event.name.includes('sleep')
const orders = () => join(lab.dir, 'crash-orders')

/**
 * Restarts the gateway after each death, until all deployments have ended. Returns the number of
 * deaths.
 */
async function untilEnded(ids: string[], settings: Record<string, string> = {}): Promise<number> {
  for (let deaths = 0; deaths < 60;) {
    const { pid } = lab.gatewayProcess
    const isDead = async () =>
      /^$|\) [ZX] /.test(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))
    const allEnded = async () => {
      const records = await Promise.all(ids.map((id) => lab.deployment(id))).catch(() => [])
      return records.length > 0 && records.every(({ state }) => isFinal(state))
    }
    await expect
      .poll(async () => (await isDead()) || (await allEnded()), { timeout: 60_000, interval: 50 })
      .toBe(true)
    if (!(await isDead())) return deaths
    deaths++
    while (
      !(await lab.start('gateway', settings).then(
        () => true,
        () => false,
      ))
    )
      deaths++
  }
  throw new Error('It dies on and on.')
}

test('one deployment that ends the gateway is found among others, which go live; it ends after three deaths alone', async () => {
  const innocent = await Promise.all(['one', 'two'].map((app) => lab.submit(app, slowApp(app, 3))))
  for (const id of innocent) await lab.seen(id, sleeping)
  await writeFile(orders(), 'in-state SIGKILL always poison/building\n')
  const poison = await lab.submit('poison', pageApp('poison'))
  const later = lab.submit('later', pageApp('later')).catch(() => null)
  const deaths = await untilEnded([...innocent, poison])
  expect(deaths).toBe(4) // the first death with all three running

  const { record, log } = await lab.end(poison)
  expect(record).toMatchObject({
    state: 'build_failed',
    attempt: 4,
    problem: { code: 'gateway-died', fault: 'gateway', state: 'building', deaths: 3 },
  })
  expect(log.filter(({ type }) => type === 'gap')).toHaveLength(4)

  for (const [at, id] of innocent.entries()) {
    expect((await lab.end(id)).record).toMatchObject({ state: 'live', problem: null })
    expect(await lab.page(['one', 'two'][at]!)).toBe(['one', 'two'][at])
  }
  const waited = (await later) ?? (await lab.submit('later', pageApp('later')))
  expect((await lab.end(waited)).record).toMatchObject({ state: 'live' })

  await rm(orders())
  expect((await lab.end(await lab.submit('poison', pageApp('cured')))).record).toMatchObject({
    state: 'live',
  })
})

test('whatever the state in which it ends the gateway, it is found, and the others go live', async () => {
  const once = { TARMAC_MAX_DEATHS: '1' }
  await lab.stop('gateway')
  await lab.start('gateway', once)
  const apps = workingStates.map((state) => `dies-${state}`)
  const innocent = await lab.submit('innocent', slowApp('innocent', 4))
  await lab.seen(innocent, sleeping)
  await writeFile(
    orders(),
    workingStates.map((state) => `in-state SIGKILL always dies-${state}/${state}\n`).join(''),
  )
  const ids = new Map<string, string>()
  for (const app of apps)
    while (!ids.has(app)) {
      const put = () => lab.put(app, 'follow=false', pageApp(app), { 'Idempotency-Key': app })
      const answer = await put().catch(() => null)
      if (answer?.status === 202) ids.set(app, ((await answer.json()) as { id: string }).id)
      else await lab.start('gateway', once).catch(() => {})
    }
  await untilEnded([innocent, ...ids.values()], once)
  for (const state of workingStates) {
    const { record } = await lab.end(ids.get(`dies-${state}`)!)
    const touches = state === 'deploying' || state === 'verifying'
    expect(record).toMatchObject({
      state: touches ? 'deploy_failed' : 'build_failed',
      problem: { code: 'gateway-died', state, deaths: 1 },
    })
    if (state === 'verifying')
      expect(record.problem!.detail).toContain((await lab.machines('dies-verifying'))[0]!.id)
  }
  expect((await lab.end(innocent)).record).toMatchObject({ state: 'live', problem: null })

  await rm(orders())
  const cured = apps.slice(-2).map((app) => lab.submit(app, pageApp('cured')))
  for (const id of await Promise.all(cured))
    expect((await lab.end(id)).record).toMatchObject({ state: 'live' })
})

test('a death that comes with a new boot of the machine counts against nothing', async () => {
  const bootId = join(lab.dir, 'boot-id')
  await writeFile(bootId, 'boot 0')
  const settings = { TARMAC_BOOT_ID_FILE: bootId, TARMAC_MAX_DEATHS: '1' }
  await lab.stop('gateway')
  await lab.start('gateway', settings)
  const submit = async (app: string) => {
    const id = await lab.submit(app, slowApp(app, 2))
    await lab.seen(id, sleeping)
    lab.kill('gateway')
    return id
  }
  const rebooted = await submit('rebooted')
  await writeFile(bootId, 'boot 1')
  await lab.start('gateway', settings)
  expect((await lab.end(rebooted)).record).toMatchObject({
    state: 'live',
    attempt: 2,
    problem: null,
  })

  const killed = await submit('killed')
  await lab.start('gateway', settings)
  expect((await lab.end(killed)).record).toMatchObject({
    state: 'build_failed',
    problem: { code: 'gateway-died' },
  })
})
