/** Sockets, devices and files of this machine's kernel that a build step must not reach. */
import { mkdir, open, readFile, rm, rmdir } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'

export interface KernelTarget {
  what: string
  /** How `try.py` tries it. */
  way: 'unix' | 'device' | 'read' | 'write' | 'make'
  /** A path, or `@` and the name of a socket without a path. */
  place: string
  /** Type and numbers of a device, with which a step could create it. */
  device?: string
}

const abstractName = 'tarmac-canary'
const connectMs = 2000

/** Every target that this machine itself reaches. `daemonSocket` belongs to the build daemon. */
export async function kernelTargets(daemonSocket: string): Promise<KernelTarget[]> {
  const targets: KernelTarget[] = [
    { what: 'socket: the build daemon’s', way: 'unix', place: daemonSocket },
    { what: 'socket: without a path, of this machine', way: 'unix', place: `@${abstractName}` },
    { what: 'device: kernel messages', way: 'device', place: '/dev/kmsg', device: 'c 1 11' },
    { what: 'device: memory', way: 'device', place: '/dev/mem', device: 'c 1 1' },
    {
      what: 'device: file systems of programs',
      way: 'device',
      place: '/dev/fuse',
      device: 'c 10 229',
    },
    { what: 'device: virtual machines', way: 'device', place: '/dev/kvm', device: 'c 10 232' },
    { what: 'device: loop devices', way: 'device', place: '/dev/loop-control', device: 'c 10 237' },
    ...(await disks()),
    { what: 'file to read: all memory', way: 'read', place: '/proc/kcore' },
    {
      what: 'file to write: the handler of core dumps',
      way: 'write',
      place: '/proc/sys/kernel/core_pattern',
    },
    { what: 'file to write: kernel commands (sysrq)', way: 'write', place: '/proc/sysrq-trigger' },
    {
      what: 'file to write: of /sys',
      way: 'write',
      place: '/sys/kernel/mm/transparent_hugepage/enabled',
    },
    ...(await controlGroups()),
  ]
  const there = await Promise.all(targets.map(isReachedHere))
  return targets.filter((_, at) => there[at])
}

/** Opens a listener without a path in the file system, in this machine's own network. */
export async function listenWithoutPath(): Promise<AsyncDisposable> {
  return listenAt(`\0${abstractName}`)
}

/** Listens at a socket until it is disposed, and then removes its file. */
export async function listenAt(path: string): Promise<AsyncDisposable> {
  const server = createServer((socket) => socket.on('error', () => {}).end())
  server.listen(path)
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      server.close()
      if (!path.startsWith('\0')) await rm(path, { force: true })
    },
  }
}

/** Whether this machine itself reaches it, in the same way as a step tries. */
async function isReachedHere({ way, place }: KernelTarget): Promise<boolean> {
  try {
    if (way === 'unix') return await connects(place.replace(/^@/, '\0'))
    if (way === 'make') {
      await mkdir(place)
      await rmdir(place)
      return true
    }
    await using file = await open(place, way === 'write' ? 'a' : 'r')
    return way !== 'read' || (await file.read(Buffer.alloc(4), 0, 4, 0)).bytesRead > 0
  } catch {
    return false
  }
}

async function connects(path: string): Promise<boolean> {
  const socket = connect(path)
  const reached = await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) }).then(
    () => true,
    () => false,
  )
  socket.on('error', () => {}).destroy()
  return reached
}

async function disks(): Promise<KernelTarget[]> {
  const lines = (await readFile('/proc/partitions', 'utf8')).trim().split('\n').slice(2)
  return lines.map((line) => {
    const [major, minor, , name] = line.trim().split(/\s+/)
    return {
      what: 'device: a disk',
      way: 'device',
      place: `/dev/${name}`,
      device: `b ${major} ${minor}`,
    }
  })
}

/** A step sees its own group at the place where this machine has its root. */
async function controlGroups(): Promise<KernelTarget[]> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  return [...mounts.matchAll(/^\S+ (\S+) cgroup2? /gm)].map(([, folder]) => ({
    what: 'control groups',
    way: 'make',
    place: `${folder}/tarmac-canary`,
  }))
}
