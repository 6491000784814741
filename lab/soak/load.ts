import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Deployment } from '#api/deployment.ts'
import type { StreamMessage } from '#api/event-stream.ts'
import { fill, routes } from '#api/routes.ts'
import type { Fault } from '../invariants.ts'
import type { Lab } from '../start-lab.ts'
import { Random } from './random.ts'

const apps = ['soak-a', 'soak-b', 'soak-c', 'soak-d', 'soak-e']
const pages = ['one', 'two', 'three']
const senders = 2
const followers = 2
const restMs = 180_000

/** Senders, cancellers and followers that retry when the gateway is gone. */
export class Load {
  readonly promised = new Set<string>()
  readonly faults: Fault[] = []
  readonly #lab: Lab
  readonly #random: Random
  readonly #archives: Buffer[] = []
  #working: Promise<void>[] = []
  #stopping = false
  #over = new AbortController()

  constructor(lab: Lab, seed: number) {
    this.#lab = lab
    this.#random = new Random(seed, 'load')
  }

  /** Pages that busybox serves. One step of each runs again when its argument is new. */
  async prepare(): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'soak-'))
    for (const page of pages) {
      const source = join(folder, page)
      await mkdir(source)
      await writeFile(join(source, 'index.html'), page)
      await writeFile(join(source, 'Dockerfile'), dockerfile)
      const tar = await promisify(execFile)('tar', ['cz', '-C', source, '.'], {
        encoding: 'buffer',
      })
      this.#archives.push(tar.stdout)
    }
    await rm(folder, { recursive: true })
  }

  go(): void {
    if (this.#working.length > 0) return
    this.#stopping = false
    this.#over = new AbortController()
    this.#working = [
      ...Array.from({ length: senders }, () => this.#repeat(() => this.#send(), 1500)),
      ...Array.from({ length: followers }, () => this.#repeat(() => this.#follow(), 100)),
      this.#repeat(() => this.#cancel(), 5000),
    ]
  }

  /** Stops new requests, and resolves when everything under way has ended. */
  async rest(): Promise<void> {
    await this.end()
    const deadline = performance.now() + restMs
    while (this.#open() > 0 && performance.now() < deadline) await sleep(200)
    await sleep(500) // waits for work that ends just after the last of them
  }

  async end(): Promise<void> {
    this.#stopping = true
    this.#over.abort()
    await Promise.all(this.#working)
    this.#working = []
  }

  /** A summary of the deployments' ends, for people. */
  ends(): string {
    return this.#ask('SELECT state, count(*) AS n FROM deployments GROUP BY state ORDER BY n DESC')
      .map(({ state, n }) => `${String(n)} ${String(state)}`)
      .join(', ')
  }

  #open(): number {
    return Number(
      this.#ask('SELECT count(*) AS n FROM deployments WHERE ended_at IS NULL')[0]!['n'],
    )
  }

  #ask(sql: string) {
    using database = new DatabaseSync(join(this.#lab.dir, 'gateway/tarmac.db'), {
      readOnly: true,
      timeout: 5000,
    })
    return database.prepare(sql).all()
  }

  async #repeat(act: () => Promise<void>, pauseMs: number): Promise<void> {
    while (!this.#stopping) {
      await act().catch(() => {}) // the gateway is gone
      await sleep(20 + this.#random.upTo(pauseMs - 20))
    }
  }

  /** Sends until it gets an answer, always with the same key. */
  async #send(): Promise<void> {
    const random = this.#random
    const key = randomUUID()
    const query = new URLSearchParams({ follow: 'false' })
    if (random.fraction() < 0.3) query.set('build.FRESH', key)
    if (random.fraction() < 0.1) query.set('build.FAIL', '1')
    if (random.fraction() < 0.2) query.set('deploy', 'false')
    const app = random.oneOf(apps)
    const body = new Uint8Array(random.oneOf(this.#archives))
    const ids = new Set<string>()
    const wanted = random.fraction() < 0.2 ? 2 : 1
    for (let answers = 0; answers < wanted && !this.#stopping;) {
      const path = `/deploy/${app}?${query.toString()}`
      const answer = await this.#call('PUT', path, {
        headers: { 'idempotency-key': key },
        body,
      }).catch(() => null)
      if (answer?.status === 202) {
        ids.add(((await answer.json()) as Deployment).id)
        answers++
      } else await sleep(100)
    }
    for (const id of ids) this.promised.add(id)
    if (ids.size > 1)
      this.faults.push({ kind: 'doubled', what: `one key made ${[...ids].join(' and ')}` })
  }

  async #cancel(): Promise<void> {
    const id = [...this.promised].at(-1)
    if (id) await this.#call('POST', fill(routes.cancel, { id }))
  }

  /** Follows to the end, and reconnects with the last number that it saw. */
  async #follow(): Promise<void> {
    const id = this.#random.oneOf([...this.promised].slice(-4))
    for (let seq = 0; !this.#stopping;) {
      const path = `${fill(routes.events, { id })}?after=${seq}`
      try {
        const answer = await this.#call('GET', path, {
          headers: { accept: 'application/x-ndjson' },
        })
        let rest = ''
        for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
          const lines = (rest + chunk).split('\n')
          rest = lines.pop()!
          for (const line of lines.filter(Boolean)) {
            const message = JSON.parse(line) as StreamMessage
            if (!('seq' in message)) {
              if (message.type === 'end') return
              continue
            }
            if (message.seq !== seq + 1)
              this.faults.push({
                kind: 'gaps',
                what: `a follower of ${id} saw ${message.seq} after ${seq}`,
              })
            seq = message.seq
          }
        }
      } catch {
        await sleep(100)
      }
    }
  }

  #call(
    method: string,
    path: string,
    more: { headers?: Record<string, string>; body?: Uint8Array<ArrayBuffer> } = {},
  ) {
    const headers = { authorization: `Bearer ${this.#lab.token}`, ...more.headers }
    const signal = AbortSignal.any([AbortSignal.timeout(30_000), this.#over.signal])
    return fetch(this.#lab.gateway + path, { method, ...more, headers, signal })
  }
}

const dockerfile = `FROM alpine
ARG FRESH FAIL
RUN echo "$FRESH" && [ -z "$FAIL" ]
COPY index.html /www/
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
`
