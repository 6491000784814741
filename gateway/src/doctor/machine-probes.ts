import { randomUUID } from 'node:crypto'
import { access, constants, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { failed, type Found, ok, type Probe, unknown, warning } from '#api/doctor/run-probes.ts'
import { inMb } from '#api/text/in-mb.ts'
import { tool } from '../host/child/exec-tool.ts'
import { readSpace } from '../host/disk/disk-space.ts'
import { sandboxKind } from '../host/sandbox/sandbox.ts'
import type { DoctorParts } from './doctor-parts.ts'

const speed = { bytes: 64 << 20, pieceBytes: 4 << 20, mostMs: 5000, leastMbPerS: 16 }

/** The volume and the kernel. */
export function machineProbes({ config, own }: DoctorParts): Probe[] {
  const volume = 'volume'
  const kernel = 'kernel'
  return [
    { group: volume, name: 'mount', run: () => mounted(config.data, own !== null) },
    {
      group: volume,
      name: 'write speed',
      alone: true,
      withinMs: 20_000,
      run: (signal) => writeSpeed(config.data, signal),
    },
    { group: kernel, name: 'user namespaces', run: userNamespaces },
    { group: kernel, name: 'Landlock', run: landlock },
    { group: kernel, name: 'nftables', run: nftables },
    { group: kernel, name: 'overlayfs', run: overlayfs },
    { group: kernel, name: 'control groups', run: controlGroups },
    { group: kernel, name: 'sandbox of the planner', run: async () => ok(await sandboxKind()) },
  ]
}

async function mounted(data: string, isOnFly: boolean): Promise<Found> {
  const [own, root] = await Promise.all([stat(data).catch(() => null), stat('/')])
  if (!own) return failed(`there is no folder ${data}`, 'Mount a volume there: tarmac up.')
  if (own.dev !== root.dev) return ok(`${data} is a file system of its own`)
  const detail = `${data} is on the root file system`
  if (!isOnFly) return ok(detail)
  return failed(detail, 'A machine loses it with each update. Mount a volume there: tarmac up.')
}

/** Writes at most 64 MiB for at most 5 s, synced piece by piece, and removes the file. */
export async function writeSpeed(data: string, signal: AbortSignal): Promise<Found> {
  const space = await readSpace(data)
  if (!space) return unknown(`there is no folder ${data}`)
  if (space.freeBytes < 8 * speed.bytes)
    return unknown(`too little free space for a test file: ${inMb(space.freeBytes)}`)

  const path = join(data, `doctor-${randomUUID()}`)
  const piece = Buffer.alloc(speed.pieceBytes, 'tarmac')
  const begunAt = performance.now()
  let writtenBytes = 0
  const file = await open(path, 'wx', 0o600)
  try {
    while (writtenBytes < speed.bytes && performance.now() - begunAt < speed.mostMs) {
      signal.throwIfAborted()
      writtenBytes += (await file.write(piece)).bytesWritten
      await file.datasync()
    }
  } finally {
    await file.close()
    await rm(path, { force: true })
  }
  const seconds = (performance.now() - begunAt) / 1000
  const mbPerS = writtenBytes / 1e6 / seconds
  const detail = `${inMb(writtenBytes)} in ${seconds.toFixed(2)} s: ${mbPerS.toFixed(0)} MB/s, synced`
  if (mbPerS >= speed.leastMbPerS) return ok(detail)
  const next = `Fly's volumes give ${speed.leastMbPerS} MB/s or more: a larger machine has a faster volume.`
  return warning(detail, next)
}

const isRoot = () => process.getuid?.() === 0

async function userNamespaces(): Promise<Found> {
  if ((await tool('unshare', '--user', '--map-root-user', 'true')) !== null) return ok('available')
  return failed('unshare --user fails', 'The planner’s sandbox needs them. Use another kernel.')
}

async function landlock(): Promise<Found> {
  const modules = await readFile('/sys/kernel/security/lsm', 'utf8').catch(() => null)
  if (modules === null) return unknown('/sys/kernel/security is not mounted')
  return modules.includes('landlock') ? ok('available') : ok('not available; nothing needs it yet')
}

async function nftables(): Promise<Found> {
  if (!isRoot()) return unknown('the gateway is not root; see the isolation of build steps')
  if ((await tool('nft', 'list', 'tables')) !== null) return ok('available')
  return failed(
    'nft list tables fails',
    'The firewall of build steps needs it, and the rights of root.',
  )
}

async function overlayfs(): Promise<Found> {
  const systems = await readFile('/proc/filesystems', 'utf8')
  if (/\toverlay$/m.test(systems)) return ok('available')
  return warning('the kernel has no overlayfs', 'Builds copy files instead, which is slower.')
}

async function controlGroups(): Promise<Found> {
  const controllers = await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8').catch(() => null)
  if (controllers === null)
    return warning('version 1', 'The limits of build steps are weaker than with version 2.')
  const mayWrite = await access('/sys/fs/cgroup/cgroup.subtree_control', constants.W_OK).then(
    () => true,
    () => false,
  )
  const detail = `version 2: ${controllers.trim()}`
  if (mayWrite || !isRoot()) return ok(detail)
  return warning(`${detail}; not writable`, 'Build steps get no limits. Run the daemon as root.')
}
