/** Machines as the Machines API lists and shows them. */
import type { Machine } from './state.ts'

const eventsShown = 20

export function showMachine(machine: Machine) {
  const { own: _own, ...shown } = machine
  return { ...shown, version: machine.instance_id, events: machine.events.slice(0, eventsShown) }
}

export function summary({
  config: _config,
  checks: _checks,
  events: _events,
  own: _own,
  host_status: _host,
  ...rest
}: Machine) {
  return rest
}

export function overview({
  own,
  config,
  id,
  name,
  region,
  state,
  instance_id,
  private_ip,
  created_at,
  updated_at,
}: Machine) {
  const { image, guest, metadata } = config
  const facts = {
    id,
    name,
    region,
    state,
    instance_id,
    version: instance_id,
    private_ip,
    created_at,
    updated_at,
  }
  return { app_name: own.app, config: { image, guest, metadata: metadata ?? {} }, ...facts }
}

export function isListed(machine: Machine, query: URLSearchParams): boolean {
  const states = query.get('state')?.split(',')
  const region = query.get('region')
  if (
    states
      ? !states.includes(machine.state)
      : machine.state === 'destroyed' && query.get('include_deleted') !== 'true'
  ) {
    return false
  }
  if (region && region !== machine.region) return false
  return [...query].every(
    ([name, value]) =>
      !name.startsWith('metadata.') ||
      machine.config.metadata?.[name.slice('metadata.'.length)] === value,
  )
}
