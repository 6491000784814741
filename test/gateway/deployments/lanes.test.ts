import { expect, test } from 'vitest'
import { type CancelRequest, DeploymentState, finalStates } from '#api/deployment.ts'
import { DeploymentOptions, lanePolicies } from '#api/options.ts'
import {
  crossesFence,
  laneBusy,
  type LaneMember,
  mayAdvance,
  maySupersede,
  needsEmptyLane,
  onArrival,
  onCancel,
  onRecovery,
  onReturn,
} from '../../../gateway/src/deployments/lanes.ts'
import { mayMove, workingStates } from '../../../gateway/src/deployments/states.ts'

type Policy = DeploymentOptions['lane']
const member = (
  state: DeploymentState,
  options: Partial<DeploymentOptions> = {},
  more: Partial<LaneMember> = {},
): LaneMember => ({
  id: 'older',
  state,
  options: DeploymentOptions.parse(options),
  cancel: null,
  supersededBy: null,
  touched: false,
  ...more,
})
const newer = (lane: Policy, more: Partial<DeploymentOptions> = {}) => ({
  id: 'newer',
  options: DeploymentOptions.parse({ lane, ...more }),
})
const cancel: CancelRequest = { at: '2026', by: 'ada', why: null, abort: false }
const request = { by: 'ada', why: null, abort: false }

test.each([
  ['latest', 'superseded', null],
  ['cancel-running', 'superseded', 'older'],
  ['fifo', null, null],
  ['reject', null, null],
  [null, 'superseded', null],
] as const)('lane=%s ends a pending one as %s', (policy, pending, stopped) => {
  expect(onArrival(member('pending'), newer(policy))?.to ?? null).toBe(pending)
  const running = onArrival(member('building'), newer(policy))
  expect(running).toEqual(
    stopped && {
      patch: { supersededBy: 'newer' },
      note: 'The newer deployment newer superseded this one.',
    },
  )
})

test('a superseded deployment names the newer one, in its record and its problem', () => {
  expect(onArrival(member('pending'), newer('latest'))).toMatchObject({
    to: 'superseded',
    patch: { supersededBy: 'newer', problem: { code: 'superseded', supersededBy: 'newer' } },
  })
})

test('no arrival affects a fifo deployment, whatever its policy', () => {
  for (const policy of lanePolicies)
    for (const state of ['pending', 'building'] as const)
      expect(onArrival(member(state, { lane: 'fifo' }), newer(policy))).toBeNull()
})

test('a build without deploy supersedes only such builds', () => {
  const build = newer('cancel-running', { deploy: false })
  for (const state of ['pending', 'building'] as const) {
    expect(onArrival(member(state), build)).toBeNull()
    expect(onArrival(member(state, { deploy: false }), build)).not.toBeNull()
  }
})

test('cancel-running leaves alone what touched machines, or must stop already', () => {
  const stops = (more: Partial<LaneMember>) =>
    onArrival(member('deploying', {}, more), newer('cancel-running')) !== null
  expect(stops({})).toBe(true)
  expect(stops({ touched: true })).toBe(false)
  expect(stops({ cancel })).toBe(false)
  expect(stops({ supersededBy: 'another' })).toBe(false)
})

test('only reject needs an empty lane, and says which deployment is in it', () => {
  expect(lanePolicies.filter(needsEmptyLane)).toEqual(['reject'])
  expect(lanePolicies.filter(maySupersede)).toEqual(['latest', 'cancel-running'])
  const busy = { id: 'd1', app: 'shop', state: 'building' } as const
  expect(laneBusy({ ...busy, owner: 'alice' })).toMatchObject({
    code: 'lane-busy',
    message:
      'Deployment d1 of shop for alice is building. Wait for its end, or send this with lane=fifo.',
    facts: { deployment: 'd1', state: 'building' },
  })
  expect(laneBusy({ ...busy, owner: '' }).message).toContain('d1 of shop is building')
})

test('back in the queue, a deployment yields to a newer one at the machines, else to the first that supersedes it', () => {
  const one = member('pending')
  const arrivals = [newer('fifo'), { ...newer('latest'), id: 'second' }, newer('latest')]
  expect(onReturn(one, { id: 'ahead' }, arrivals)).toMatchObject({
    patch: { supersededBy: 'ahead' },
  })
  expect(onReturn(one, null, arrivals)).toMatchObject({
    to: 'superseded',
    patch: { supersededBy: 'second' },
  })
  expect(onReturn(one, null, [newer('fifo')])).toBeNull()
})

test('a stop request forbids every move but the end, until machines change', () => {
  const stopped = [{ cancel }, { supersededBy: 'newer' }]
  for (const state of workingStates)
    for (const to of DeploymentState.options.filter((to) => mayMove(state, to))) {
      expect(mayAdvance(member(state), to)).toBe(true)
      const isEnd = finalStates.some((final) => final === to)
      const expected = isEnd || state === 'deploying' || state === 'verifying'
      for (const more of stopped)
        expect([state, to, mayAdvance(member(state, {}, more), to)]).toEqual([state, to, expected])
    }
})

test('only the move to the machines passes the fence', () => {
  expect(DeploymentState.options.filter(crossesFence)).toEqual(['deploying'])
})

test('a cancel request ends a pending deployment, and asks a running one to stop', () => {
  expect(onCancel(member('pending'), request, '2026')).toMatchObject({
    to: 'cancelled',
    patch: { cancel, problem: { code: 'cancelled', detail: 'Cancelled by ada.' } },
  })
  expect(onCancel(member('building'), request, '2026')).toEqual({
    patch: { cancel },
    note: 'Cancelled by ada.',
  })
})

test('a cancel request changes nothing after the end, or after another', () => {
  for (const state of finalStates) expect(onCancel(member(state), request, '2026')).toBeNull()
  expect(onCancel(member('building', {}, { cancel }), request, '2026')).toBeNull()
})

test('a cancel request is too late once machines are touched, unless it asks for an abort', () => {
  const one = member('deploying', {}, { touched: true })
  expect(() => onCancel(one, request, '2026')).toThrow(
    expect.objectContaining({ code: 'cancel-too-late' }),
  )
  expect(onCancel(one, { ...request, abort: true }, '2026')).toMatchObject({
    patch: { cancel: { abort: true } },
  })
  expect(onCancel(member('deploying'), request, '2026')).toMatchObject({ patch: { cancel } })
})

test('a long reason of a cancel request is cut', () => {
  const change = onCancel(member('building'), { ...request, why: 'y'.repeat(1e6) }, '2026')
  expect(change!.patch.cancel!.why!.length).toBeLessThan(1100)
})

test.each(['fetching', 'analyzing', 'building', 'pushing'] as const)(
  'without its runner, a deployment that was %s returns to the queue, or ends if a stop was requested',
  (state) => {
    expect(onRecovery(member(state), 'killed', null)).toEqual({
      events: [expect.objectContaining({ type: 'gap' })],
      next: 'requeue',
      change: { to: 'pending', patch: { reason: 'killed' } },
    })
    expect(onRecovery(member(state, {}, { cancel }), 'killed', null)).toMatchObject({
      next: 'end',
      change: { to: 'cancelled', patch: { problem: { code: 'cancelled' } } },
    })
    const superseded = member(state, {}, { supersededBy: 'newer' })
    expect(onRecovery(superseded, 'killed', 'suspected')).toMatchObject({
      events: [{ type: 'gap' }, { type: 'note', text: 'suspected' }],
      next: 'end',
      change: { to: 'superseded', patch: { problem: { supersededBy: 'newer' } } },
    })
  },
)

test.each(['deploying', 'verifying'] as const)(
  'without its runner, a deployment that was %s is claimed again; a suspect waits until it may run alone',
  (state) => {
    for (const more of [{}, { cancel }])
      expect(onRecovery(member(state, {}, more), 'killed', null)).toEqual({
        events: [
          expect.objectContaining({ type: 'gap' }),
          { type: 'note', text: 'killed. The gateway reads the machines and continues.' },
        ],
        next: 'resume',
      })
    expect(onRecovery(member(state), 'killed', 'suspected')).toEqual({
      events: [expect.objectContaining({ type: 'gap' }), { type: 'note', text: 'suspected' }],
      next: 'hold',
    })
  },
)
