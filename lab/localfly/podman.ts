import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { cpus, networkInterfaces } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { unmountBelow } from '../parts/mounts.ts'
import type { ImageRef } from './image-ref.ts'
import { removeFirewallRules } from './firewall-rules.ts'
import { closeBridge, releaseBridge } from './inside.ts'

const run = promisify(execFile)

/** `command`: the entrypoint and the command of its program, as one text. */
export type Container = { id: string; pid: number; command: string }
export type Exit = { code: number; oomKilled: boolean }
export type Mount = { source: string; target: string }
export type Said = { exit_code: number; exit_signal: number; stdout: string; stderr: string }
export type RunSpec = {
  name: string
  image: string
  address: string
  env: Record<string, string>
  cpus: number
  memoryMb: number
  swapMb: number
  tty: boolean
  mounts: Mount[]
  /** The file for the program's output. Earlier content stays. */
  logFile: string
  entrypoint: string[] | undefined
  /** Undefined means the image's own. */
  command: string[] | undefined
}

const init = '/usr/bin/catatonit'
/**
 * A machine of Fly is a virtual machine, in which root may run a build daemon. In a container that
 * takes all rights, so only Tarmac's own image gets them. Podman asks for more files and processes
 * than a host may allow for a privileged container.
 */
const privilegedOptions = ['--privileged', '--ulimit=nofile=1024:4096', '--ulimit=nproc=4096:4096']
const logBytes = 4 << 20 // podman starts a new file beyond this size
const exitPollMs = 25
const quietPollMs = 100
const quietMs = 10_000

/**
 * Podman with the lab's own storage, locks, network and bridge, so that labs can run in parallel.
 */
export class Podman {
  readonly bridge: string
  readonly #registry: string
  readonly #root: string
  readonly #runRoot: string
  readonly #networks: string
  readonly #conf: string
  readonly #subnet: string
  readonly #privileged = new Map<string, boolean>()

  constructor(lab: { dir: string; name: string; registry?: string }) {
    const key = createHash('sha256')
      .update(`${resolve(lab.dir)}\0${lab.name}`)
      .digest()
    const dir = join(resolve(lab.dir), 'podman')
    this.#registry = lab.registry ?? ''
    this.#root = join(dir, 'root')
    this.#networks = join(dir, 'networks')
    this.#conf = join(dir, 'containers.conf')
    this.bridge = `fly${key.toString('hex', 0, 4)}`
    // Podman accepts at most 50 characters here.
    this.#runRoot = `/run/tarmac/${key.toString('hex', 0, 4)}`
    this.#subnet = freeSubnet(key, this.bridge)
  }

  /** This host's address on the network of the machines. */
  get hostAddress(): string {
    return `${this.#subnet}.1`
  }

  /** All addresses for machines. The first of the subnet belongs to the bridge. */
  addresses(): string[] {
    return Array.from({ length: 253 }, (_, index) => `${this.#subnet}.${index + 2}`)
  }

  open(): void {
    mkdirSync(this.#networks, { recursive: true })
    writeFileSync(
      this.#conf,
      // The locks are files. Locks in shared memory are common to the whole host, and a new storage
      // frees them all.
      `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1000:2000"]
init_path = "${init}"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
`,
    )
    // Written here, because podman's command cannot set the bridge's name, and two labs would get
    // the same one.
    const network = {
      name: 'lab',
      id: createHash('sha256').update(this.bridge).digest('hex'),
      driver: 'bridge',
      network_interface: this.bridge,
      created: '2026-01-01T00:00:00Z',
      subnets: [{ subnet: `${this.#subnet}.0/24`, gateway: `${this.#subnet}.1` }],
      ipv6_enabled: false,
      internal: false,
      dns_enabled: false,
      ipam_options: { driver: 'host-local' },
    }
    writeFileSync(join(this.#networks, 'lab.json'), JSON.stringify(network))
  }

  /** Pulls an image by digest unless it exists. Returns the name to run it by. */
  async pull(image: ImageRef): Promise<string> {
    const name = `${this.#registry}/${image.repository}@${image.digest}`
    const isThere = await this.#podman(['image', 'exists', name]).then(
      () => true,
      () => false,
    )
    if (!isThere) await this.#podman(['pull', '--quiet', '--tls-verify=false', name], 600_000)
    return name
  }

  /** Starts a container and replaces the one with this name. */
  async run(spec: RunSpec): Promise<Container> {
    const { name, memoryMb, env, entrypoint, mounts } = spec
    // With an entrypoint, podman drops the image's command. Fly does not.
    const command = spec.command ?? (entrypoint ? await this.#commandOf(spec.image) : [])
    const { stdout } = await this.#podman([
      ...'run --detach --replace --pull=never --network=lab'.split(' '),
      `--name=${name}`,
      `--hostname=${name}`,
      `--ip=${spec.address}`,
      // The same MAC for the same address, so that earlier peers find the replacement container at
      // once.
      `--mac-address=${macOf(spec.address)}`,
      `--memory=${memoryMb}m`,
      `--memory-swap=${memoryMb + spec.swapMb}m`,
      ...(spec.tty ? ['--tty'] : []),
      '--log-driver=k8s-file',
      `--log-opt=path=${spec.logFile}`,
      `--log-opt=max-size=${logBytes}`,
      '--no-hosts',
      `--dns=${this.hostAddress}`,
      '--dns-search=.', // not this host's
      ...mounts.map(({ source, target }) => `--mount=type=bind,source=${source},target=${target}`),
      // A machine may have more CPUs than this host.
      `--cpus=${Math.min(spec.cpus, cpus().length)}`,
      // As on Fly, the program is not process 1, so a signal that it does not handle ends it.
      ...(existsSync(init) ? ['--init'] : []),
      ...((await this.#isPrivileged(spec.image)) ? privilegedOptions : []),
      ...Object.entries(env).map(([key, value]) => `--env=${key}=${value}`),
      ...(entrypoint ? [`--entrypoint=${JSON.stringify(entrypoint)}`] : []),
      spec.image,
      ...command,
    ])
    // The id of the replaced container comes first.
    const id = stdout.trim().split('\n').at(-1)!
    const format = '[{{.State.Pid}}, {{json .Config.Entrypoint}}, {{json .Config.Cmd}}]'
    const inspected = (await this.#podman(['inspect', '--format', format, id])).stdout
    const [pid, ...words] = JSON.parse(inspected) as [number, ...(string | string[] | null)[]]
    return { id, pid, command: words.flat().filter(Boolean).join(' ') }
  }

  /** Resolves when the container's program has ended. */
  async exited({ id, pid }: Container, signal: AbortSignal): Promise<Exit> {
    while (isAlive(pid)) await sleep(exitPollMs, undefined, { signal })
    const code = Number((await this.#podman(['wait', id])).stdout)
    // Conmon learns of an OOM kill by a notice that newer kernels no longer send, but the kernel's
    // log has it.
    const oomKilled =
      code === 137 && (await run('dmesg')).stdout.includes(`oom_memcg=/libpod_parent/libpod-${id}`)
    return { code, oomKilled }
  }

  /** Runs a command beside the container's program. Returns null when it takes too long. */
  async exec({ id }: Container, command: string[], timeoutMs: number): Promise<Said | null> {
    const deadline = performance.now() + timeoutMs
    try {
      const said = await this.#podman(['exec', id, ...command], timeoutMs)
      // Podman exits with 0 when it is asked to end.
      return performance.now() < deadline ? { exit_code: 0, exit_signal: 0, ...said } : null
    } catch (error) {
      const { code, stdout, stderr } = error as { code: unknown; stdout: string; stderr: string }
      if (performance.now() >= deadline) return null
      if (typeof code !== 'number') throw error
      return { exit_code: code, exit_signal: code > 128 ? code - 128 : 0, stdout, stderr }
    }
  }

  /**
   * Whether the program needs a machine's own kernel: in Tarmac's own image, whose label is one of
   * the standard ones of OCI, and in the lab's stand-in for BuildKit's.
   */
  async #isPrivileged(image: string): Promise<boolean> {
    const known = this.#privileged.get(image)
    if (known !== undefined) return known
    const labels = ['org.opencontainers.image.title', 'tarmac.privileged']
    const format = labels.map((label) => `{{index .Labels "${label}"}}`).join()
    const { stdout } = await this.#podman(['image', 'inspect', '--format', format, image])
    const isPrivileged = ['tarmac,', ',true'].includes(stdout.trim())
    this.#privileged.set(image, isPrivileged)
    return isPrivileged
  }

  async #commandOf(image: string): Promise<string[]> {
    const { stdout } = await this.#podman([
      'image',
      'inspect',
      '--format',
      '{{json .Config.Cmd}}',
      image,
    ])
    return (JSON.parse(stdout) as string[] | null) ?? []
  }

  /** Podman's word for its state (`running`, `paused`, `exited`), or `gone`. */
  status({ id }: Container): Promise<string> {
    return this.#podman(['inspect', '--format', '{{.State.Status}}', id]).then(
      ({ stdout }) => stdout.trim(),
      () => 'gone',
    )
  }

  /** All running containers, whoever started them: each name, and the image by its digest. */
  async running(): Promise<Map<string, string>> {
    const { stdout } = await this.#podman(['ps', '--format', '{{.Names}} {{.Image}}'])
    return new Map(
      stdout.split('\n').flatMap((line) => (line ? [line.split(' ') as [string, string]] : [])),
    )
  }

  /** Returns true when the signal was sent, false when the program had already ended. */
  kill({ id }: Container, signal: string): Promise<boolean> {
    return this.#podman(['kill', '--signal', signal, id]).then(
      () => true,
      () => false,
    )
  }

  async pause({ id }: Container): Promise<void> {
    await this.#podman(['pause', id])
  }

  async unpause(container: Container): Promise<void> {
    if ((await this.status(container)) === 'paused') await this.#podman(['unpause', container.id])
  }

  async remove(name: string): Promise<void> {
    await this.#podman(['rm', '--force', '--ignore', '--time=0', name])
  }

  /**
   * Removes every container of the lab, its bridge and its mounts. Images stay in the lab's folder.
   */
  async sweep(): Promise<void> {
    if (!existsSync(this.#conf)) return
    await releaseBridge(this.bridge)
    await this.#podman(['rm', '--force', '--all', '--time=0'])
    await this.#quiet()
    await unmountBelow(this.#root)
    await closeBridge(this.bridge)
    await removeFirewallRules(this.#subnet)
    rmSync(this.#runRoot, { recursive: true, force: true })
  }

  /**
   * Waits for other work on this storage: a container's watcher cleans up later, and creates the
   * folders again.
   */
  async #quiet(): Promise<void> {
    const deadline = performance.now() + quietMs
    while (performance.now() < deadline && (await isNamedByProcess(this.#runRoot)))
      await sleep(quietPollMs)
  }

  /** Builds any podman command for this lab. */
  command(args: string[]) {
    return this.#podman(args)
  }

  #podman(args: string[], timeoutMs = 60_000) {
    const own = [
      '--root',
      this.#root,
      '--runroot',
      join(this.#runRoot, 'run'),
      '--tmpdir',
      join(this.#runRoot, 'tmp'),
    ]
    return run('podman', [...own, '--network-config-dir', this.#networks, ...args], {
      timeout: timeoutMs,
      maxBuffer: 16 << 20,
      // a container's watcher leaves a file in its start folder when memory runs out
      cwd: dirname(this.#conf),
      env: { ...process.env, CONTAINERS_CONF: this.#conf },
    })
  }
}

/** What runs the machines. The fast tests have one without containers. */
export type Containers = Pick<
  Podman,
  | 'hostAddress'
  | 'addresses'
  | 'pull'
  | 'run'
  | 'exited'
  | 'exec'
  | 'status'
  | 'kill'
  | 'pause'
  | 'unpause'
  | 'remove'
>

export const macOf = (address: string): string =>
  ['02:42', ...address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(
    ':',
  )

/**
 * Picks a /24 out of 10.64.0.0/10, the same one for the same lab, and skips subnets of this host.
 */
function freeSubnet(key: Buffer, bridge: string): string {
  const taken = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    name === bridge ? [] : (addresses ?? []).map(({ address }) => address),
  )
  for (let number = key.readUInt16BE(4); ; number++) {
    const subnet = `10.${64 + ((number >> 8) & 63)}.${number & 255}`
    if (!taken.some((address) => address.startsWith(`${subnet}.`))) return subnet
  }
}

async function isNamedByProcess(words: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const commands = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return commands.some((command) => command.includes(words))
}

/** Pid 0 marks a process that has ended. */
function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}
