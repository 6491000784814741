import type { Machine } from '../../../lab/localfly/state.ts'

/** A running machine, in the form of the state. */
export function aMachine(more: Partial<Machine> = {}): Machine {
  const config = { image: 'registry.fly.io/app@sha256:1' }
  const now = new Date().toISOString()
  return {
    id: 'abc',
    name: 'web',
    region: 'lab',
    state: 'started',
    instance_id: '01A',
    image_ref: {
      registry: 'registry.fly.io',
      repository: 'app',
      tag: '',
      digest: 'sha256:1',
      labels: {},
    },
    config,
    private_ip: '10.64.0.2',
    created_at: now,
    updated_at: now,
    cordoned: false,
    host_status: 'ok',
    events: [],
    checks: [],
    own: {
      app: 'app',
      lease: null,
      versions: [],
      container: null,
      previous: null,
      secrets: {},
      wantsRun: true,
      restarts: 0,
    },
    ...more,
  }
}
