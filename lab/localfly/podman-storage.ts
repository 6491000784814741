import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { unmountBelow } from '../parts/mounts.ts'

const run = promisify(execFile)

export const init = '/usr/bin/catatonit'
const quietPollMs = 100
const quietMs = 10_000

// The locks are files. Locks in shared memory are common to the whole host, and a new storage frees
// them all.
const conf = `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1000:2000"]
init_path = "${init}"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
`

/** Where podman keeps what belongs to one lab: images, containers, locks, settings. */
export class PodmanStorage {
  readonly networks: string
  readonly #dir: string
  readonly #root: string
  readonly #runRoot: string
  readonly #conf: string

  constructor(labDir: string, key: Buffer) {
    this.#dir = join(labDir, 'podman')
    this.#root = join(this.#dir, 'root')
    this.networks = join(this.#dir, 'networks')
    this.#conf = join(this.#dir, 'containers.conf')
    // Podman accepts at most 50 characters here.
    this.#runRoot = `/run/tarmac/${key.toString('hex', 0, 4)}`
  }

  open(): void {
    mkdirSync(this.networks, { recursive: true })
    writeFileSync(this.#conf, conf)
  }

  exists(): boolean {
    return existsSync(this.#conf)
  }

  /** Runs a podman command on this storage. */
  podman(args: string[], timeoutMs = 60_000) {
    const own = [
      '--root',
      this.#root,
      '--runroot',
      join(this.#runRoot, 'run'),
      '--tmpdir',
      join(this.#runRoot, 'tmp'),
    ]
    return run('podman', [...own, '--network-config-dir', this.networks, ...args], {
      timeout: timeoutMs,
      maxBuffer: 16 << 20,
      // a container's watcher leaves a file in its start folder when memory runs out
      cwd: this.#dir,
      env: { ...process.env, CONTAINERS_CONF: this.#conf },
    })
  }

  /** Where podman writes the process of a container, by the container's name. */
  pidFileOf(name: string): string {
    return join(this.#runRoot, `${name}.pid`)
  }

  /** As the container's watcher writes it. Null: not yet, or podman has read it already. */
  exitCodeOf(id: string): number | null {
    try {
      return Number(readFileSync(join(this.#runRoot, 'tmp/exits', id), 'utf8'))
    } catch {
      return null
    }
  }

  async unmount(): Promise<void> {
    await this.#quiet()
    await unmountBelow(this.#root)
  }

  removeRuntimeFiles(): void {
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
}

async function isNamedByProcess(words: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const commands = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return commands.some((command) => command.includes(words))
}
