/**
 * What machines reach of Fly: the ports are on the first address of their network, which is this
 * host's. Fly's own names for them are in the hosts file of each machine.
 */
import { execFile } from 'node:child_process'
import type { RequestListener } from 'node:http'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const insidePorts = {
  /** `http://_api.internal:4280`, as on Fly (superfly/docs: machines/api/working-with-machines-api). */
  api: 4280,
  /** The registry's front. On Fly it is `registry.fly.io`, with TLS. */
  registry: 5001,
  /** Base images, as from Docker Hub and ghcr.io; on Fly, machines reach the originals. */
  images: 5002,
}

/** The line of the hosts file that names them. */
export const insideNames = (address: string) => `${address} _api.internal\n`

/**
 * Makes the bridge before podman does, because the listeners need its address before the first
 * machine. Podman uses a bridge that it finds.
 */
export async function openBridge(name: string, address: string): Promise<void> {
  if (networkInterfaces()[name]?.some((each) => each.address === address)) return
  await run('ip', ['link', 'add', name, 'type', 'bridge']).catch(() => undefined)
  await run('ip', ['address', 'replace', `${address}/24`, 'dev', name])
  await run('ip', ['link', 'set', name, 'up'])
}

/** Passes only requests that read an image. */
export const readOnly =
  (listener: RequestListener): RequestListener =>
  (req, res) => {
    if (req.method === 'GET' || req.method === 'HEAD') return listener(req, res)
    res.writeHead(405).end()
  }
