import { stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Config } from '../config.ts'

/** The machine of Fly that the gateway runs in. `memoryMb`: 0 if Fly does not say. */
export type OwnMachine = Config['machine']

/** Where Fly gives each machine an API of its own. Source: fly.md 6.1. */
const ownApi = '/.fly/api'

/**
 * The machine of Fly that this process runs in; null on any other host. Names in the environment
 * prove nothing, so the host must bear the machine's id and have Fly's socket.
 */
export async function ownMachine(
  machine: OwnMachine,
  { host = hostname(), socket = ownApi } = {},
): Promise<OwnMachine | null> {
  if (machine.id === '' || host !== machine.id) return null
  const found = await stat(socket).catch(() => null)
  return found?.isSocket() ? machine : null
}
