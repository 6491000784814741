/**
 * What machines reach of Fly: the ports are on the first address of their network, which is this
 * host's.
 */
import { execFile } from 'node:child_process'
import type { RequestListener } from 'node:http'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const insidePorts = {
  /** `http://_api.internal:4280`, as on Fly (superfly/docs: machines/api/working-with-machines-api). */
  api: 4280,
  /** The registry's mirror on the host: `http://_api.internal:5000`, as on Fly (fly.md 5.6). */
  mirror: 5000,
  /** The registry's front. On Fly it is `registry.fly.io`, with TLS. */
  registry: 5001,
  /** Base images, as from Docker Hub and ghcr.io; on Fly, machines reach the originals. */
  images: 5002,
}

/** The line of the hosts file that names them. */
export const insideNames = (address: string) => `${address} _api.internal\n`

/**
 * Makes the bridge before podman does, because the listeners need its address before the first
 * machine. Podman uses a bridge that it finds, and keeps one that has a port of somebody else. The
 * hardware address is fixed: otherwise it changes when a machine leaves, and the others lose Fly
 * for some seconds.
 */
export async function openBridge(name: string, address: string, mac: string): Promise<void> {
  const quiet = (...words: string[]) => run('ip', words).catch(() => undefined)
  await quiet('link', 'add', name, 'type', 'bridge')
  await quiet('link', 'add', portOfBridge(name), 'type', 'veth', 'peer', 'name', `${name}p`)
  await run('ip', ['link', 'set', name, 'address', mac, 'up'])
  await run('ip', ['address', 'replace', `${address}/24`, 'dev', name])
  await run('ip', ['link', 'set', portOfBridge(name), 'master', name, 'up'])
}

/**
 * Call `releaseBridge` before the last machine is removed: only then does podman also remove its
 * firewall rules.
 */
export const releaseBridge = (name: string) => deleteLink(portOfBridge(name))
export const closeBridge = (name: string) => deleteLink(name)

async function deleteLink(name: string): Promise<void> {
  await run('ip', ['link', 'delete', name]).catch(() => undefined)
}

const portOfBridge = (name: string) => `${name}k`

/** Passes only requests that read an image. */
export const readOnly =
  (listener: RequestListener): RequestListener =>
  (req, res) => {
    if (req.method === 'GET' || req.method === 'HEAD') return listener(req, res)
    res.writeHead(405).end()
  }
