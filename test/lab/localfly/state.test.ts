import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { FlyState } from '../../../lab/localfly/state.ts'
import { aMachine } from './machine.ts'

const dir = mkdtempSync(join(tmpdir(), 'localfly-state-'))
afterAll(() => rmSync(dir, { recursive: true }))

test('saved state is read again; machines destroyed long ago are forgotten', () => {
  const state = new FlyState(dir)
  const machine = aMachine()
  state.machines.set(machine.id, machine)
  const old = aMachine({ id: 'old', state: 'destroyed', updated_at: '2020-01-01T00:00:00Z' })
  state.machines.set(old.id, old)
  state.deployTokens.set('FlyV1 fm2_a', { app: 'app', until: 7 })
  state.addEvent(machine, 'start', 'started', 'flyd')
  const again = new FlyState(dir)
  expect([...again.machines.values()]).toEqual([machine])
  expect(again.deployTokens.get('FlyV1 fm2_a')).toEqual({ app: 'app', until: 7 })
  expect(readdirSync(dir)).toEqual(['state.json'])
})

test('events are listed newest first, with rising ids, and the last fifty are kept', () => {
  const state = new FlyState(dir)
  const machine = aMachine()
  for (let i = 0; i < 60; i++) state.addEvent(machine, 'start', `${i}`, 'flyd')
  expect(machine.events.map(({ status }) => Number(status))).toEqual(
    Array.from({ length: 50 }, (_, i) => 59 - i),
  )
  const ids = machine.events.map(({ id }) => id)
  expect(ids.toSorted().toReversed()).toEqual(ids)
})
