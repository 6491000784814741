import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { once } from 'node:events'
import type { Container, Containers, Exit, RunSpec, Said } from './containers.ts'

/** What the program of an image does. */
export type Program = 'good' | 'not-ready' | 'crashes' | 'silent'
type Running = {
  spec: RunSpec
  server: Server | null
  /** The folder of a machine whose program is a process of this computer. */
  root: string | null
  ended: Promise<Exit>
  end: (exit: Exit) => void
}

let made = 0
/** What the client's command reads of an answer. */
const mostRead = 4000

/**
 * Runs the machines of localfly without containers: each is an HTTP server on a loopback address of
 * its own, that answers `/healthz` and `/readyz` as a gateway does, and `/whoami` with its app and
 * its variable `OWNER`.
 */
export class NoContainers implements Containers {
  /** What images do, by repository. All others are good. */
  readonly programs = new Map<string, Program>()
  /**
   * Images, by repository, whose machines run their command here, with this folder first on the
   * PATH. `/tarmac-build` stands for a folder with the machine's files.
   */
  readonly processes = new Map<string, string>()
  readonly hostAddress = '127.0.0.1'
  /** The gateways that take no new work, by address. */
  readonly drained = new Set<string>()
  /** Shell commands that were run in machines of a gateway. They do nothing. */
  readonly commands: string[] = []
  readonly #running = new Map<string, Running>()
  /** Programs that ended: commands may still ask for their exits. */
  readonly #subnet = `127.${64 + (process.pid % 128)}.${made++ % 256}`

  addresses(): string[] {
    return Array.from({ length: 200 }, (_, index) => `${this.#subnet}.${index + 2}`)
  }

  /** Its machines send each other nothing. */
  async separate(): Promise<void> {}

  async pull({ repository, digest }: { repository: string; digest: string }): Promise<string> {
    return `${repository}@${digest}`
  }

  async run(spec: RunSpec): Promise<Container> {
    await this.remove(spec.name)
    const { promise: ended, resolve: end } = Promise.withResolvers<Exit>()
    const repository = spec.image.split('@')[0]!
    const tools = this.processes.get(repository)
    if (tools !== undefined) {
      const root = startProcess(spec, tools, end)
      this.#running.set(spec.name, { spec, server: null, root, ended, end })
      return { id: spec.name, pid: process.pid, command: 'sh' }
    }
    const program = this.programs.get(repository) ?? 'good'
    const isSilent = program === 'silent' || program === 'crashes'
    this.drained.delete(spec.address)
    const server = isSilent ? null : serve(spec, program, this.drained)
    if (server) await once(server, 'listening')
    this.#running.set(spec.name, { spec, server, root: null, ended, end })
    if (program === 'crashes') setTimeout(end, 100, { code: 1, oomKilled: false })
    return { id: spec.name, pid: process.pid, command: 'node gateway' }
  }

  exited({ id }: Container): Promise<Exit> {
    return this.#running.get(id)?.ended ?? Promise.resolve({ code: 137, oomKilled: false })
  }

  /** Does what the command of `tarmac up` does: asks the gateway in the machine. */
  async exec({ id }: Container, command: string[]): Promise<Said> {
    const { spec, root } = this.#running.get(id)!
    if (root !== null) {
      const args = command.slice(1).map((word) => inFolder(word, root))
      const { status, stdout, stderr } = spawnSync(command[0]!, args, { encoding: 'utf8' })
      return { exit_code: status ?? 1, exit_signal: 0, stdout, stderr }
    }
    if (command[0] === 'sh' && spec.image.includes('tarmac')) {
      this.commands.push(command.at(-1)!)
      return { exit_code: 0, exit_signal: 0, stdout: '', stderr: '' }
    }
    if (command[0] !== 'node')
      return { exit_code: 127, exit_signal: 0, stdout: '', stderr: 'not found' }
    if (!command[2]?.includes('fetch(')) {
      const args = command.slice(1)
      const { status, stdout, stderr } = spawnSync(process.execPath, args, {
        env: spec.env,
        encoding: 'utf8',
      })
      return { exit_code: status ?? 1, exit_signal: 0, stdout, stderr }
    }
    const path = /127\.0\.0\.1:\d+(\/[\w/]*)/.exec(command[2] ?? '')?.[1] ?? '/'
    const token = spec.env['TARMAC_TOKENS'] ?? ''
    const said = await fetch(`http://${spec.address}:${portOf(spec)}${path}`, {
      method: /method: '(\w+)'/.exec(command[2] ?? '')?.[1] ?? 'GET',
      headers: { authorization: `Bearer ${token}` },
    })
      .then(async (answer) => ({
        status: answer.status,
        body: (await answer.text()).slice(0, mostRead),
      }))
      .catch(() => ({ status: 0, body: 'ECONNREFUSED' }))
    return { exit_code: 0, exit_signal: 0, stdout: `${JSON.stringify(said)}\n`, stderr: '' }
  }

  ports({ id }: Container): number[] | null {
    const running = this.#running.get(id)
    if (!running || running.root !== null) return null
    return running.server ? [portOf(running.spec)] : []
  }

  async status({ id }: Container): Promise<string> {
    return this.#running.has(id) ? 'running' : 'gone'
  }

  isPaused(): boolean {
    return false
  }

  async kill({ id }: Container, signal: string): Promise<boolean> {
    const running = this.#running.get(id)
    if (!running) return false
    await close(running)
    running.end({ code: signal === 'SIGKILL' ? 137 : 0, oomKilled: false })
    return true
  }

  async pause(): Promise<void> {}
  async unpause(): Promise<void> {}

  async remove(name: string): Promise<void> {
    const running = this.#running.get(name)
    if (!running) return
    await this.kill({ id: name, pid: 0, command: '' }, 'SIGKILL')
    this.#running.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#running.keys()) await this.remove(name)
  }
}

const portOf = ({ env }: RunSpec): number => Number(env['TARMAC_PORT'] ?? 8080)

function serve(spec: RunSpec, program: Program, drained: Set<string>): Server {
  const { env, address } = spec
  const server = createServer((request, response) => {
    const isKnown = request.headers.authorization === `Bearer ${env['TARMAC_TOKENS']}`
    const isReady = program === 'good' && isKnown && Boolean(env['TARMAC_SECRETS_KEY'])
    if (request.url === '/whoami')
      return void response.end(JSON.stringify({ app: env['FLY_APP_NAME'], owner: env['OWNER'] }))
    const reads = ['/readyz', '/v1/rollouts', '/v1/status']
    if (request.url === '/v1/drain' && isReady) {
      if (request.method === 'POST') drained.add(address)
      if (request.method === 'DELETE') drained.delete(address)
      response.end(JSON.stringify(drainFacts(drained.has(address))))
      return
    }
    const ok = request.url === '/healthz' || (reads.includes(request.url ?? '') && isReady)
    response.writeHead(ok ? 200 : request.url === '/readyz' ? 503 : 404)
    response.end(
      JSON.stringify(
        // A whole status is long.
        ok
          ? { ready: true, version: spec.image, more: '.'.repeat(mostRead) }
          : { detail: 'fly: Fly refuses the token' },
      ),
    )
  })
  return server.listen(portOf(spec), address)
}

const drainFacts = (isDrained: boolean) => ({
  state: isDrained ? 'drained' : 'working',
  since: null,
  stopsAt: null,
  endsAt: null,
  running: 0,
  uploads: 0,
  queued: 0,
})

const inFolder = (text: string, root: string): string => text.replaceAll('/tarmac-build', root)

function startProcess(spec: RunSpec, tools: string, end: (exit: Exit) => void): string {
  const root = mkdtempSync(join(tmpdir(), 'machine-'))
  for (const { source, target } of spec.mounts.filter(({ target }) => target.startsWith('/tarmac')))
    if (target.endsWith('.sh'))
      writeFileSync(join(root, basename(target)), inFolder(readFileSync(source, 'utf8'), root))
    else copyFileSync(source, join(root, basename(target)))

  const [program = '', ...args] = spec.entrypoint ?? []
  const env = { ...spec.env, HOME: root, PATH: `${tools}:${process.env['PATH']}` }
  const child = spawn(
    program,
    args.map((word) => inFolder(word, root)),
    { env, detached: true, stdio: 'ignore' },
  )
  child.on('close', (code) => end({ code: code ?? 137, oomKilled: false }))
  processes.set(root, child.pid!)
  return root
}
const processes = new Map<string, number>()

async function close({ server, root }: Running): Promise<void> {
  const pid = root === null ? undefined : processes.get(root)
  if (root !== null && pid !== undefined) {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
    processes.delete(root)
    rmSync(root, { recursive: true, force: true })
  }
  if (!server?.listening) return
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}
