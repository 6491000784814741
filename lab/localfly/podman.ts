import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
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
const cleanedMs = 5000

/** What localfly reads of an image. `entrypoint` and `command` are words of its configuration. */
type ImageFacts = { isPrivileged: boolean; entrypoint: string[]; command: string[] }

/**
 * Podman with the lab's own storage, locks, network and bridge, so that labs can run in parallel. A
 * command of podman takes a tenth of a second of CPU, so what is known is not asked again.
 */
export class Podman implements Containers {
  readonly #network: MachineNetwork
  readonly #registry: string
  readonly #storage: PodmanStorage
  readonly #pulled = new Set<string>()
  readonly #images = new Map<string, Promise<ImageFacts>>()
  /** The ids of the containers that are paused. */
  readonly #paused = new Set<string>()

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
    if (this.#pulled.has(name)) return name
    const pulled = this.command(['pull', '--quiet', '--tls-verify=false', name], 600_000)
    await pulled.catch(async (error: unknown) => {
      // An earlier localfly may have pulled it, and the registry may be gone now.
      await this.command(['image', 'exists', name]).catch(() => {
        throw error
      })
    })
    this.#pulled.add(name)
    // Read while the program before it ends. `run` throws the error.
    this.#imageOf(name).catch(() => {})
    return name
  }

  /** Starts a container and replaces the one with this name. */
  async run(spec: RunSpec): Promise<Container> {
    const { name, memoryMb, env, entrypoint, mounts } = spec
    const image = await this.#imageOf(spec.image)
    const command = spec.command ?? image.command
    const pidFile = this.#storage.pidFileOf(name)
    const { stdout } = await this.command([
      ...(spec.firewall === null ? ['run', '--detach'] : ['create']),
      ...'--replace --pull=never --network=lab'.split(' '),
      `--name=${name}`,
      `--pidfile=${pidFile}`,
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
      ...(image.isPrivileged ? privilegedOptions : []),
      ...Object.entries(env).map(([key, value]) => `--env=${key}=${value}`),
      ...(entrypoint ? [`--entrypoint=${JSON.stringify(entrypoint)}`] : []),
      spec.image,
      // With an entrypoint, podman drops the image's command. Fly does not.
      ...(spec.command || entrypoint ? command : []),
    ])
    // The id of the replaced container comes first.
    const id = stdout.trim().split('\n').at(-1)!
    if (spec.firewall !== null) await this.#startBehind(id, spec.firewall)
    const pid = Number(await readFile(pidFile, 'utf8'))
    return { id, pid, command: [...(entrypoint ?? image.entrypoint), ...command].join(' ') }
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
    this.#paused.delete(id)
    // Podman's `wait` looks four times a second.
    const code = this.#storage.exitCodeOf(id) ?? Number((await this.command(['wait', id])).stdout)
    // Then podman takes the container's network down, and removes this file.
    const deadline = performance.now() + cleanedMs
    while (this.#storage.exitCodeOf(id) !== null && performance.now() < deadline)
      await sleep(exitPollMs, undefined, { signal })
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
   * `isPrivileged`: the program needs a machine's own kernel. That is so in Tarmac's own image, whose
   * label is one of the standard ones of OCI, and in the lab's stand-in for BuildKit's.
   */
  #imageOf(image: string): Promise<ImageFacts> {
    const known = this.#images.get(image)
    if (known) return known
    const read = this.#readImage(image)
    this.#images.set(image, read)
    read.catch(() => this.#images.delete(image))
    return read
  }

  async #readImage(image: string): Promise<ImageFacts> {
    const format = '[{{json .Labels}}, {{json .Config.Entrypoint}}, {{json .Config.Cmd}}]'
    const { stdout } = await this.command(['image', 'inspect', '--format', format, image])
    type Answer = [Record<string, string> | null, string[] | null, string[] | null]
    const [labels, entrypoint, command] = JSON.parse(stdout) as Answer
    const isPrivileged =
      labels?.['org.opencontainers.image.title'] === 'tarmac' ||
      labels?.['tarmac.privileged'] === 'true'
    return { isPrivileged, entrypoint: entrypoint ?? [], command: command ?? [] }
  }

  /** Podman's word for its state (`running`, `paused`, `exited`), or `gone`. */
  async status({ id }: Container): Promise<string> {
    const asked = this.command(['inspect', '--format', '{{.State.Status}}', id])
    const status = await asked.then(
      ({ stdout }) => stdout.trim(),
      () => 'gone',
    )
    if (status === 'paused') this.#paused.add(id) // by an earlier localfly
    return status
  }

  isPaused({ id }: Container): boolean {
    return this.#paused.has(id)
  }

  /** All running containers, whoever started them: each name, and the image by its digest. */
  async running(): Promise<Map<string, string>> {
    const { stdout } = await this.command(['ps', '--format', '{{.Names}} {{.Image}}'])
    return new Map(
      stdout.split('\n').flatMap((line) => (line ? [line.split(' ') as [string, string]] : [])),
    )
  }

  /** Returns true when the signal was sent, false when the program had already ended. */
  async kill({ pid }: Container, signal: string): Promise<boolean> {
    return send(pid, signal)
  }

  async pause({ id }: Container): Promise<void> {
    await this.command(['pause', id])
    this.#paused.add(id)
  }

  async unpause({ id }: Container): Promise<void> {
    if (this.#paused.delete(id)) await this.command(['unpause', id])
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

const isAlive = (pid: number): boolean => send(pid, 0)

/** Pid 0 marks a process that has ended. */
function send(pid: number, signal: string | number): boolean {
  try {
    return pid > 0 && process.kill(pid, signal)
  } catch {
    return false
  }
}
