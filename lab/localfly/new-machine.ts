import { parseImage } from './image-ref.ts'
import { type Launch, withDefaults } from './machine-config.ts'
import type { App, Machine } from './state.ts'
import { ulid } from './ulid.ts'

export function newMachine(
  app: App,
  launch: Launch,
  { id, name, address }: { id: string; name: string; address: string },
): Machine {
  const now = new Date().toISOString()
  const config = withDefaults(launch.config)
  const version = ulid()
  return {
    id,
    name,
    region: launch.region ?? 'lab',
    state: 'created',
    instance_id: version,
    image_ref: parseImage(config.image),
    config,
    private_ip: address,
    created_at: now,
    updated_at: now,
    cordoned: launch.skip_service_registration ?? false,
    host_status: 'ok',
    events: [],
    checks: [],
    own: {
      app: app.name,
      lease: null,
      versions: [{ version, user_config: config }],
      container: null,
      previous: null,
      secrets: secretsFor(app, launch),
      wantsRun: !launch.skip_launch,
      restarts: 0,
    },
  }
}

export function secretsFor(app: App | undefined, launch: Launch): Record<string, string> {
  if (launch.skip_secrets) return {}
  return Object.fromEntries(
    Object.values(app?.secrets ?? {}).map(({ name, value }) => [name, value]),
  )
}
