import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { FlyState } from '../../../lab/localfly/state.ts'
import { isReached, readWait, waitFor } from '../../../lab/localfly/wait.ts'
import { aMachine } from './machine.ts'

const dir = mkdtempSync(join(tmpdir(), 'localfly-wait-'))
afterAll(() => rmSync(dir, { recursive: true }))

const waitOf = (query: string) => readWait(new URLSearchParams(query))

test('a wait is for `started` within a minute by default', () => {
  expect(waitOf('')).toEqual({
    states: ['started'],
    version: undefined,
    afterEvent: '',
    timeoutSeconds: 60,
  })
  expect(waitOf('state=stopped,failed&state=settled&instance_id=01A&timeout=1')).toMatchObject({
    states: ['stopped', 'failed', 'settled'],
    version: '01A',
    timeoutSeconds: 1,
  })
})

test.each(['0', '61', 'soon'])('a timeout of %s is out of range', (timeout) => {
  expect(() => waitOf(`timeout=${timeout}`)).toThrow('value must be inside range [1s, 1m0s]')
})

test('a wait by version does not accept another version', () => {
  const machine = aMachine()
  expect(isReached(machine, waitOf('version=01A'))).toBe(true)
  expect(isReached(machine, waitOf('version=01B'))).toBe(false)
  expect(isReached({ ...machine, state: 'replacing' }, waitOf('state=settled'))).toBe(false)
  expect(isReached({ ...machine, state: 'failed' }, waitOf('state=settled'))).toBe(true)
})

test('a wait ends with the awaited change, or with 408', async () => {
  const state = new FlyState(dir)
  const machine = aMachine({ state: 'starting' })
  state.machines.set(machine.id, machine)
  const { signal } = new AbortController()
  const waited = waitFor(state, machine, waitOf(''), signal)
  machine.state = 'started'
  state.addEvent(machine, 'start', 'started', 'flyd')
  expect(await waited).toEqual({
    ok: true,
    state: 'started',
    version: '01A',
    event_id: machine.events[0]?.id,
  })
  await expect(
    waitFor(state, machine, waitOf('state=stopped&timeout=1'), signal),
  ).rejects.toMatchObject({
    httpStatus: 408,
    message: 'deadline_exceeded: machine failed to reach desired state, stopped, currently started',
  })
})
