import { expect, test } from 'vitest'
import type { Crash } from '#api/deployment.ts'
import {
  judgeRelease,
  stableMs,
} from '../../../../gateway/src/deploy/release-health/judge-release.ts'
import type { NewestRelease } from '../../../../gateway/src/deployments/release-store.ts'
import type { Machine, MachineConfig, MachineEvent } from '#fly/machine.ts'

const born = Date.parse('2026-01-01T00:00:00Z')
const at = (seconds: number) => born + seconds * 1000
const iso = (seconds: number) => new Date(at(seconds)).toISOString()

const event = (type: string, seconds: number, exit?: object): MachineEvent => ({
  type,
  status: type === 'exit' ? 'stopped' : type,
  timestamp: at(seconds),
  ...(exit && { request: { exit_event: exit } }),
})
const exit = (seconds: number, code: number, requested = false) =>
  event('exit', seconds, { exit_code: code, requested_stop: requested })

const service: MachineConfig = { services: [{ internal_port: 80 }] }
const machine = (
  state: string,
  events: MachineEvent[] = [],
  more: Partial<Machine> = {},
): Machine => ({
  id: 'm1',
  name: 'app-1',
  state,
  region: 'fra',
  instance_id: 'v1',
  config: service,
  events: [...events, event('start', 1), event('launch', 0)],
  checks: [],
  ...more,
})

const release: NewestRelease = {
  app: 'web',
  owner: null,
  number: 3,
  deployment: 'd3',
  createdAt: iso(5),
  crashes: [],
}
const open: Crash = {
  machine: 'm1',
  at: iso(60),
  lastAt: iso(60),
  why: 'ended by itself with exit code 7',
  endedAt: null,
  ending: null,
}
const looked = (now: Machine[], seconds: number, crashes: Crash[] = []) =>
  judgeRelease({ ...release, crashes }, { machines: now, flyApp: 'web', nowMs: at(seconds) })

test('a crash makes a release degraded, with when and why, also when Fly has started the machine again', () => {
  for (const [state, words] of [
    ['stopped', 'It is stopped'],
    ['started', 'Fly has started it again'],
  ] as const)
    expect(looked([machine(state, [exit(60, 7)])], 70)).toEqual({
      crashes: [open],
      events: [
        {
          type: 'release',
          release: 3,
          state: 'degraded',
          machine: 'm1',
          text: `Release 3 is degraded: machine m1 ended by itself with exit code 7, at ${iso(60)}. ${words}. See its log (fly logs --app web --machine m1).`,
        },
      ],
    })
})

test('a machine that Fly cannot start makes a release degraded', () => {
  const failed = event('start', 60)
  failed.status = 'failed'
  failed.request = { error: 'no space' }
  expect(looked([machine('failed', [failed])], 70).crashes).toMatchObject([
    { at: iso(60), why: 'could not be started by Fly: no space', endedAt: null },
  ])
})

test.each<[string, Machine]>([
  ['a machine that runs', machine('started')],
  ['one that was stopped on purpose', machine('stopped', [exit(60, 0, true), event('stop', 59)])],
  ['one that autostop stopped', machine('stopped', [exit(60, 143, true), event('stop', 59)])],
  ['one that sleeps', machine('suspended', [event('suspend', 60)])],
  ['a job that has finished', machine('stopped', [exit(60, 0)], { config: {} })],
  [
    'a scheduled job that has finished',
    machine('stopped', [exit(60, 0)], { config: { schedule: 'hourly' } }),
  ],
])('%s is no degradation', (_, now) => {
  expect(looked([now], 70)).toEqual({ crashes: [], events: [] })
})

test('further crashes belong to the first, without further events, until the machine has run for a while', () => {
  const loop = machine('started', [exit(120, 7), exit(90, 7), exit(60, 7)])
  const longer = { ...open, lastAt: iso(120) }
  expect(looked([loop], 130, [open])).toEqual({ crashes: [longer], events: [] })

  const soon = 120 + stableMs / 1000 - 1
  expect(looked([loop], soon, [longer])).toEqual({ crashes: [longer], events: [] })
  const ended = looked([loop], soon + 1, [longer])
  expect(ended.crashes).toEqual([{ ...longer, endedAt: iso(soon + 1), ending: 'recovered' }])
  expect(ended.events).toMatchObject([
    {
      state: 'healthy',
      text: 'Machine m1 of release 3 runs without further crashes, or its job has finished. Release 3 is healthy again.',
    },
  ])
  expect(looked([loop], soon + 100, ended.crashes)).toEqual({ crashes: ended.crashes, events: [] })

  const again = machine('stopped', [exit(900, 1), exit(120, 7)])
  expect(looked([again], 901, ended.crashes).crashes).toMatchObject([
    { at: iso(900), endedAt: null },
    { at: iso(60), ending: 'recovered' },
  ])
})

test('a machine whose check fails has not recovered', () => {
  const checks = [{ name: 'up', status: 'critical' }]
  expect(looked([machine('started', [exit(60, 7)], { checks })], 9000, [open]).events).toEqual([])
})

test('a scheduled job that failed is degraded until it succeeds', () => {
  const config = { schedule: 'hourly' }
  const failed = machine('stopped', [exit(60, 7)], { config })
  expect(looked([failed], 90)).toMatchObject({ crashes: [open] })
  expect(looked([failed], 9000, [open]).events).toEqual([])
  const done = machine('stopped', [exit(3660, 0), exit(60, 7)], { config })
  expect(looked([done], 9000, [open]).crashes).toMatchObject([{ ending: 'recovered' }])
})

test('a crash ends when somebody stops the machine, or when it is destroyed', () => {
  const stopped = machine('stopped', [event('stop', 80), exit(60, 7)])
  expect(looked([stopped], 90, [open]).crashes).toMatchObject([{ ending: 'stopped' }])
  expect(looked([], 90, [open]).crashes).toMatchObject([{ ending: 'gone', endedAt: iso(90) }])
})

test('a release stays degraded while another of its machines has not recovered', () => {
  const other = { ...open, machine: 'm2' }
  const { events } = looked([machine('stopped', [exit(60, 7)])], 90, [open, other])
  expect(events).toMatchObject([
    { state: 'degraded', machine: 'm2', text: expect.stringMatching(/is still degraded\.$/) },
  ])
})
