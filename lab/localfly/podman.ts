import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Container, Containers, Exit, RunSpec, Said } from './containers.ts'
import type { ImageRef } from './image-ref.ts'
import { macOf, MachineNetwork } from './network/machine-network.ts'
import { nft } from './network/separation.ts'
import { init, PodmanStorage } from './podman-storage.ts'

const run = promisify(execFile)

/**
 * A machine of Fly is a virtual machine, in which root may run a build daemon. In a container that
 * takes all rights, so only Tarmac's own image gets them. Podman asks for more files and processes
 * than a host may allow for a privileged container.
 */
const privilegedOptions = ['--privileged', '--ulimit=nofile=1024:4096', '--ulimit=nproc=4096:4096']
const logBytes = 4 << 20 // podman starts a new file beyond this size
const exitPollMs = 25

/**
 * Podman with the lab's own storage, locks, network and bridge, so that labs can run in parallel.
 */
export class Podman implements Containers {
  readonly #network: MachineNetwork
  readonly #registry: string
  readonly #storage: PodmanStorage
  readonly #privileged = new Map<string, boolean>()

  constructor(lab: { dir: string; name: string; registry?: string }) {
    const key = createHash('sha256')
      .update(`${resolve(lab.dir)}\0${lab.name}`)
      .digest()
    this.#registry = lab.registry ?? ''
    this.#network = new MachineNetwork(key)
    this.#storage = new PodmanStorage(resolve(lab.dir), key)
  }

  get bridge(): string {
    return this.#network.bridge
  }

  /** This host's address on the network of the machines. */
  get hostAddress(): string {
    return this.#network.hostAddress
  }

  /** All addresses for machines. */
  addresses(): string[] {
    return this.#network.addresses()
  }

  /** Passes packets only within each of these networks, given as addresses of machines. */
  separate(networks: string[][]): Promise<void> {
    return this.#network.separation.apply(networks)
  }

  open(): void {
    this.#storage.open()
    this.#network.write(join(this.#storage.networks, 'lab.json'))
  }

  /** Pulls an image by digest unless it exists. Returns the name to run it by. */
  async pull(image: ImageRef): Promise<string> {
    const name = `${this.#registry}/${image.repository}@${image.digest}`
    const isThere = await this.command(['image', 'exists', name]).then(
      () => true,
      () => false,
    )
    if (!isThere) await this.command(['pull', '--quiet', '--tls-verify=false', name], 600_000)
    return name
  }

  /** Starts a container and replaces the one with this name. */
  async run(spec: RunSpec): Promise<Container> {
    const { name, memoryMb, env, entrypoint, mounts } = spec
    // With an entrypoint, podman drops the image's command. Fly does not.
    const command = spec.command ?? (entrypoint ? await this.#commandOf(spec.image) : [])
    const { stdout } = await this.command([
      ...(spec.firewall === null ? ['run', '--detach'] : ['create']),
      ...'--replace --pull=never --network=lab'.split(' '),
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
    if (spec.firewall !== null) await this.#startBehind(id, spec.firewall)
    const format = '[{{.State.Pid}}, {{json .Config.Entrypoint}}, {{json .Config.Cmd}}]'
    const inspected = (await this.command(['inspect', '--format', format, id])).stdout
    const [pid, ...words] = JSON.parse(inspected) as [number, ...(string | string[] | null)[]]
    return { id, pid, command: words.flat().filter(Boolean).join(' ') }
  }

  /** Makes the container's network, applies the rules there, and starts the program then. */
  async #startBehind(id: string, rules: string): Promise<void> {
    await this.command(['init', id])
    const { stdout } = await this.command(['inspect', '--format', '{{.State.Pid}}', id])
    await nft(rules, ['nsenter', `--net=/proc/${stdout.trim()}/ns/net`])
    await this.command(['start', id])
  }

  /** Resolves when the container's program has ended. */
  async exited({ id, pid }: Container, signal: AbortSignal): Promise<Exit> {
    while (isAlive(pid)) await sleep(exitPollMs, undefined, { signal })
    const code = Number((await this.command(['wait', id])).stdout)
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
      const said = await this.command(['exec', id, ...command], timeoutMs)
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
    const { stdout } = await this.command(['image', 'inspect', '--format', format, image])
    const isPrivileged = ['tarmac,', ',true'].includes(stdout.trim())
    this.#privileged.set(image, isPrivileged)
    return isPrivileged
  }

  async #commandOf(image: string): Promise<string[]> {
    const { stdout } = await this.command([
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
    return this.command(['inspect', '--format', '{{.State.Status}}', id]).then(
      ({ stdout }) => stdout.trim(),
      () => 'gone',
    )
  }

  /** All running containers, whoever started them: each name, and the image by its digest. */
  async running(): Promise<Map<string, string>> {
    const { stdout } = await this.command(['ps', '--format', '{{.Names}} {{.Image}}'])
    return new Map(
      stdout.split('\n').flatMap((line) => (line ? [line.split(' ') as [string, string]] : [])),
    )
  }

  /** Returns true when the signal was sent, false when the program had already ended. */
  kill({ id }: Container, signal: string): Promise<boolean> {
    return this.command(['kill', '--signal', signal, id]).then(
      () => true,
      () => false,
    )
  }

  async pause({ id }: Container): Promise<void> {
    await this.command(['pause', id])
  }

  async unpause(container: Container): Promise<void> {
    if ((await this.status(container)) === 'paused') await this.command(['unpause', container.id])
  }

  async remove(name: string): Promise<void> {
    await this.command(['rm', '--force', '--ignore', '--time=0', name])
  }

  /**
   * Removes every container of the lab, its bridge and its mounts. Images stay in the lab's folder.
   */
  async sweep(): Promise<void> {
    if (!this.#storage.exists()) return
    await this.#network.release()
    await this.command(['rm', '--force', '--all', '--time=0'])
    await this.#storage.unmount()
    await this.#network.close()
    this.#storage.removeRuntimeFiles()
  }

  /** Runs any podman command for this lab. */
  command(args: string[], timeoutMs?: number) {
    return this.#storage.podman(args, timeoutMs)
  }
}

/** Pid 0 marks a process that has ended. */
function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}
