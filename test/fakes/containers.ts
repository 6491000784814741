import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { Container, Containers, Exit, RunSpec, Said } from '../../lab/localfly/podman.ts'

/** What the program of an image does. */
export type Program = 'good' | 'not-ready' | 'crashes' | 'silent'
type Running = {
  spec: RunSpec
  server: Server | null
  ended: Promise<Exit>
  end: (exit: Exit) => void
}

let made = 0

/**
 * Runs the machines of localfly without containers: each is an HTTP server on a loopback address of
 * its own, that answers `/healthz` and `/readyz` as a gateway does.
 */
export class FakeContainers implements Containers {
  /** What images do, by repository. All others are good. */
  readonly programs = new Map<string, Program>()
  readonly #running = new Map<string, Running>()
  /** Programs that ended: commands may still ask for their exits. */
  readonly #subnet = `127.${64 + (process.pid % 128)}.${made++ % 256}`

  readonly hostAddress = '127.0.0.1'

  addresses(): string[] {
    return Array.from({ length: 200 }, (_, index) => `${this.#subnet}.${index + 2}`)
  }

  async pull({ repository, digest }: { repository: string; digest: string }): Promise<string> {
    return `${repository}@${digest}`
  }

  async run(spec: RunSpec): Promise<Container> {
    await this.remove(spec.name)
    let end: (exit: Exit) => void = () => {}
    const ended = new Promise<Exit>((resolve) => (end = resolve))
    const program = this.programs.get(spec.image.split('@')[0]!) ?? 'good'
    const server = program === 'silent' || program === 'crashes' ? null : serve(spec, program)
    if (server) await once(server, 'listening')
    this.#running.set(spec.name, { spec, server, ended, end })
    if (program === 'crashes') end({ code: 1, oomKilled: false })
    return { id: spec.name, pid: process.pid, command: 'node gateway' }
  }

  exited({ id }: Container): Promise<Exit> {
    return this.#running.get(id)?.ended ?? Promise.resolve({ code: 137, oomKilled: false })
  }

  /** Does what the command of `tarmac up` does: asks the gateway in the machine. */
  async exec({ id }: Container, command: string[]): Promise<Said> {
    const { spec } = this.#running.get(id)!
    if (command[0] !== 'node')
      return { exit_code: 127, exit_signal: 0, stdout: '', stderr: 'not found' }
    const path = /127\.0\.0\.1:\d+(\/[\w/]*)/.exec(command[2] ?? '')?.[1] ?? '/'
    const token = spec.env['TARMAC_TOKENS'] ?? ''
    const said = await fetch(`http://${spec.address}:${portOf(spec)}${path}`, {
      method: command[2]?.includes("'POST'") ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}` },
    })
      .then(async (answer) => ({ status: answer.status, body: await answer.text() }))
      .catch(() => ({ status: 0, body: 'ECONNREFUSED' }))
    return { exit_code: 0, exit_signal: 0, stdout: `${JSON.stringify(said)}\n`, stderr: '' }
  }

  async status({ id }: Container): Promise<string> {
    return this.#running.has(id) ? 'running' : 'gone'
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

function serve(spec: RunSpec, program: Program): Server {
  const { env, address } = spec
  const server = createServer((request, response) => {
    const isKnown = request.headers.authorization === `Bearer ${env['TARMAC_TOKENS']}`
    const isReady = program === 'good' && isKnown && Boolean(env['TARMAC_SECRETS_KEY'])
    const ok = request.url === '/healthz' || (request.url === '/readyz' && isReady)
    response.writeHead(ok ? 200 : request.url === '/readyz' ? 503 : 404)
    response.end(JSON.stringify(ok ? { ready: true } : { detail: 'fly: Fly refuses the token' }))
  })
  return server.listen(portOf(spec), address)
}

async function close({ server }: Running): Promise<void> {
  if (!server?.listening) return
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}
