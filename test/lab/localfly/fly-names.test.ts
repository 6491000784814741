import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { flyAddresses } from '../../../lab/localfly/network/fly-names.ts'
import { FlyState, type App } from '../../../lab/localfly/state.ts'
import { answerTo, questionOf } from '../../../lab/parts/dns-message.ts'
import { aMachine } from './machine.ts'

function start() {
  const dir = mkdtempSync(join(tmpdir(), 'names-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const state = new FlyState(dir)
  const app = (name: string, network = 'default', ips: Partial<App['ips'][0]>[] = []) =>
    state.apps.set(name, { name, network, ips } as App)
  const machine = (id: string, of: string, more: Parameters<typeof aMachine>[0] = {}) => {
    const made = aMachine({ id, private_ip: `10.64.0.${state.machines.size + 2}`, ...more })
    made.own.app = of
    state.machines.set(id, made)
  }
  const ask = (name: string, network = 'default') =>
    flyAddresses(name, { state, network, host: '10.64.0.1' })
  return { app, machine, ask }
}

test('machines are found by app, region, group, id and metadata, while they run', () => {
  const { app, machine, ask } = start()
  app('shop')
  const config = { image: 'i', metadata: { fly_process_group: 'web', tarmac_owner: 'Ada' } }
  machine('a', 'shop', { region: 'ams', config })
  machine('b', 'shop')
  machine('c', 'shop', { state: 'stopped' })
  machine('d', 'shop', { state: 'starting' })
  expect(ask('shop.internal')).toEqual(['10.64.0.2', '10.64.0.3'])
  expect(ask('top1.nearest.of.shop.internal')).toEqual(['10.64.0.2'])
  expect(ask('ams.shop.internal')).toEqual(['10.64.0.2'])
  expect(ask('web.process.shop.internal')).toEqual(['10.64.0.2'])
  expect(ask('ada.tarmac_owner.kv._metadata.shop.internal')).toEqual(['10.64.0.2'])
  expect(ask('d.vm.shop.internal')).toEqual(['10.64.0.5'])
  expect(ask('c.vm.shop.internal')).toBe(null)
  expect(ask('blog.internal')).toBe(null)
})

test('the names of another network do not exist, and others are not Fly’s', () => {
  const { app, machine, ask } = start()
  app('shop', 'apart')
  machine('a', 'shop')
  expect(ask('shop.internal')).toBe(null)
  expect(ask('shop.internal', 'apart')).toEqual(['10.64.0.2'])
  expect(ask('_api.internal')).toEqual(['10.64.0.1'])
  expect(ask('deb.debian.org')).toBe(undefined)
  expect(ask('internal')).toBe(undefined)
})

test('a Flycast name exists in the network of the address, also while the machines sleep', () => {
  const { app, machine, ask } = start()
  app('builder', 'default', [{ network: 'default' }])
  app('bare')
  machine('a', 'builder', { state: 'stopped' })
  expect(ask('builder.flycast')).toEqual(['10.64.0.1'])
  expect(ask('builder.flycast', 'apart')).toBe(null)
  expect(ask('bare.flycast')).toBe(null)
})

test('an answer has the addresses of the asked type, and none for a type without', () => {
  const message = (name: string, type: number) =>
    Buffer.concat([
      Buffer.from('abcd01000001000000000000', 'hex'),
      ...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
      Buffer.from([0, 0, type, 0, 1]),
    ])
  const asked = message('Shop.Internal', 1)
  const question = questionOf(asked)!
  expect(question).toMatchObject({ name: 'shop.internal', type: 1 })
  const answer = answerTo(asked, question, ['10.64.0.2', '10.64.0.3', 'fd00::1'], 5)
  expect(answer.toString('hex', 0, 8)).toBe('abcd818000010002')
  expect([...answer.subarray(-4)]).toEqual([10, 64, 0, 3])

  const v6 = message('shop.internal', 28)
  const forV6 = answerTo(v6, questionOf(v6)!, ['10.64.0.2'])
  expect(forV6.toString('hex', 2, 8)).toBe('818000010000') // the name exists
  expect(answerTo(v6, questionOf(v6)!, null).toString('hex', 2, 4)).toBe('8183')
  expect(questionOf(Buffer.from('abcd01', 'hex'))).toBe(null)
  expect(questionOf(Buffer.alloc(20, 63))).toBe(null)
})
