import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'

export const gatewayMain = join(import.meta.dirname, '../../../gateway/src/main.ts')
export const operatorToken = 'operator-of-the-previews-soak'
type Settings = Record<string, string | undefined> & { TARMAC_CRASH_FILE: string }
/** `status` 0: no answer, as of a gateway that was killed. */
export type Answer = { status: number; body: unknown }

/** A gateway that starts again whenever it is killed. */
export class GatewayProcess {
  /** Makes previews: no quota holds for the operator. */
  maker = operatorToken
  kills = 0
  /** When it listened last, by `Date.now()`. */
  upSince = 0
  /** Why it ended otherwise than by a kill. */
  readonly deaths: string[] = []
  readonly #settings: Settings
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 20 })
  #port = '0'
  #child: ChildProcess | null = null
  #life: Promise<void> = Promise.resolve()
  #isClosing = false
  #up: Promise<void> = Promise.resolve()

  static async start(settings: Settings): Promise<GatewayProcess> {
    const gateway = new GatewayProcess(settings)
    await gateway.#begin()
    return gateway
  }

  private constructor(settings: Settings) {
    this.#settings = settings
  }

  /** The same after each start. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Resolves while it listens. */
  get up(): Promise<void> {
    return this.#up
  }

  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  /** Kills it when it passes this crash point for the n-th time. */
  killAt(point: string, time: number): void {
    writeFileSync(this.#settings.TARMAC_CRASH_FILE, `${point} SIGKILL ${time}`)
  }

  call(method: string, path: string, body?: object, more: object = {}): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const gone = () => resolve({ status: 0, body: null })
    const headers = {
      authorization: `Bearer ${path === '/v1/previews' ? this.maker : operatorToken}`,
      ...(body && { 'content-type': 'application/json' }),
      ...more,
    }
    const target = { host: '127.0.0.1', port: this.#port, method, path, headers }
    const signal = AbortSignal.timeout(20_000)
    const asked = request({ ...target, agent: this.#agent, signal }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => (text += String(part)))
      response.on('error', gone)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body: /^[{[]/.test(text) ? JSON.parse(text) : text,
        }),
      )
    })
    asked.on('error', gone).end(body && JSON.stringify(body))
    return promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true
    this.kill()
    await this.#life
    this.#agent.destroy()
  }

  #begin(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#up = promise
    const env = { ...this.#settings, TARMAC_PORT: this.#port }
    // It ends with the soak, however that ends.
    const command = ['--pdeathsig', 'KILL', '--', process.execPath, gatewayMain]
    const child = spawn('setpriv', command, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    let printed = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        printed = (printed + String(text)).slice(-20_000)
        const found = /"url":"([^"]+)","msg":"gateway listens"/.exec(printed)?.[1]
        if (!found || child.exitCode !== null || child.signalCode !== null) return
        this.#port = new URL(found).port
        this.upSince ||= Date.now()
        resolve()
      })
    this.#life = once(child, 'exit').then(([code, signal]) => {
      this.upSince = 0
      if (this.#isClosing) return reject(new Error('closed'))
      if (signal === 'SIGKILL') this.kills++
      else this.deaths.push(`exit code ${code}: ${printed.slice(-1500)}`)
      if (this.deaths.length > 3) return reject(new Error(this.deaths.at(-1)))
      return this.#begin().then(resolve, reject)
    })
    promise.catch(() => {})
    return promise
  }
}
