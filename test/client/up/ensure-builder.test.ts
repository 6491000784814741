import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { image, startFly, up } from './start-fly.ts'

const whole = {
  apps: ['tarmac-personal: 1 addresses'],
  volumes: ['fra 50 GB'],
  machines: ['tarmac-builder started fra'],
}

test('up makes a builder; up again changes nothing', async () => {
  await using fly = await startFly()
  const { builder } = await up(fly)
  expect(fly.inventory()).toEqual(whole)
  const [machine] = fly.state.machinesOf('tarmac-personal')
  expect(builder).toEqual({
    appName: 'tarmac-personal',
    machineId: machine!.id,
    address: fly.state.apps.get('tarmac-personal')!.ips[0]!.ip,
    port: 80,
  })
  const path = join(fly.env.XDG_CONFIG_HOME, 'tarmac/tarmac-personal.env')
  expect(statSync(path).mode & 0o777).toBe(0o600)
  const file = readFileSync(path, 'utf8')
  const { secrets } = fly.state.apps.get('tarmac-personal')!
  expect(file).toContain(`TARMAC_TOKEN=${secrets['TARMAC_TOKENS']!.value}\n`)
  expect(file).toContain(`TARMAC_SECRETS_KEY=${secrets['TARMAC_SECRETS_KEY']!.value}\n`)
  expect(machine!.config.image).toBe(image)

  const again = await up(fly)
  expect(again.builder).toEqual(builder)
  expect(again.notes).toEqual([`machine ${machine!.id}: ready`])
  expect(fly.breaches).toEqual([])
}, 60_000)
