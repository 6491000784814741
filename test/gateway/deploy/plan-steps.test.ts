import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import { planRollout } from '../../../gateway/src/deploy/plan.ts'
import type { Machine } from '#fly/machine.ts'

const flyToml = `[processes]\nweb = "w"\njob = "j"\n[http_service]\ninternal_port = 8080\nprocesses = ["web"]\n`

/** The steps of a deploy, each as a line. */
function planned(asked: Record<string, unknown>, machines: Machine[] = [], more = ''): string[] {
  const options = DeploymentOptions.parse(asked)
  const text = flyToml + more
  const desired = desiredApp({ flyToml: text, app: 'web', options, defaults: { region: 'fra' } })
  const { steps } = planRollout({ id: 'd2', number: 2, desired, options }, machines)
  return steps.map(({ role, name, launch, stopAfterwards, standbyFor }) =>
    [
      role,
      name,
      ...(launch ? [] : ['asleep']),
      ...(stopAfterwards ? ['stopped afterwards'] : []),
      ...(standbyFor ? [`for ${standbyFor}`] : []),
    ].join(' '),
  )
}

const machine = (id: string, group: string, more: Partial<Machine> = {}): Machine => ({
  id,
  name: `machine-${id}`,
  state: 'started',
  region: 'ams',
  instance_id: '01A',
  config: { metadata: { fly_platform_version: 'v2', fly_process_group: group } },
  ...more,
})

test('a group without machines gets one, two, one with a standby, or as many as asked for', () => {
  expect(planned({})).toEqual(['new job-1-d2', 'new web-1-d2'])
  expect(planned({ ha: true })).toEqual([
    'new job-1-d2',
    'new web-1-d2',
    'new web-2-d2',
    'new job-2-d2 asleep for job-1-d2',
  ])
  expect(planned({ owner: 'alice', count: 2 }).slice(0, 2)).toEqual([
    'new alice-job-1-d2',
    'new alice-job-2-d2',
  ])
})

test('running machines come before stopped ones, and machines of other groups are removed last', () => {
  const machines = [
    machine('a', 'web', { state: 'stopped' }),
    machine('b', 'web'),
    machine('c', 'old'),
    machine('d', 'job'),
  ]
  expect(planned({}, machines, '[deploy]\nrelease_command = "migrate"\n')).toEqual([
    'releaseCommand release-command-d2 asleep',
    'update machine-d',
    'update machine-b',
    'update machine-a asleep',
    'gone machine-c',
  ])
})

test('a group whose machines are all stopped is tested on its first one', () => {
  const machines = ['a', 'b'].map((id) => machine(id, 'job', { state: 'stopped' }))
  expect(planned({ count: 1 }, machines)).toEqual([
    'update machine-a stopped afterwards',
    'new web-1-d2',
    'update machine-b asleep',
  ])
})

test('a canary is modelled on a running machine, only for groups that have one', () => {
  const machines = [machine('a', 'web', { state: 'stopped', region: 'lax' }), machine('b', 'web')]
  expect(planned({ strategy: 'canary' }, machines)).toEqual([
    'canary web-canary-d2',
    'new job-1-d2',
    'update machine-b',
    'update machine-a asleep',
  ])
})
