/** What tests do with a running lab. */
import { setTimeout as sleep } from 'node:timers/promises'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { type Deployment, type DeploymentState, isFinal } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import type { StreamMessage } from '#api/event-stream.ts'
import { fill, routes } from '#api/routes.ts'
import type { Lab } from '../../lab/start-lab.ts'

const run = promisify(execFile)

/** A first build of Go compiles the whole standard library: a minute and a half on busy cores. */
const curlMs = 240_000

export type Files = Record<string, string>
type Machine = {
  id: string
  state: string
  image_ref: { digest: string }
  config: { init: { cmd?: string[] }; guest: object; dns?: object }
}

/**
 * A page served by busybox, built by a Dockerfile in a second or two. `lines` come before the page.
 */
export const pageApp = (text: string, ...lines: string[]): Files => ({
  Dockerfile: [
    'FROM alpine',
    ...lines,
    'COPY index.html /www/',
    'CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]',
  ].join('\n'),
  'index.html': text,
})

/** The addresses of a lab: it may run in another process. */
export type LabAddresses = Pick<Lab, 'gateway' | 'token' | 'flyApi' | 'flyToken' | 'apps' | 'dir'>

export function actionsOn(lab: LabAddresses) {
  const { dir } = lab
  const authorization = `Bearer ${lab.token}`
  const ask = (path: string, accept = 'application/json', signal = AbortSignal.timeout(60_000)) =>
    fetch(lab.gateway + path, { headers: { authorization, accept }, signal })

  /** Writes a source into its own folder. */
  const source = async (files: Files): Promise<string> => {
    const folder = await mkdtemp(join(dir, 'source-'))
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    }
    return folder
  }
  const archive = async (folder: string): Promise<Buffer> =>
    (await run('tar', ['cz', '-C', folder, '.'], { encoding: 'buffer', maxBuffer: 64 << 20 }))
      .stdout

  const deployment = async (id: string): Promise<Deployment> =>
    (await (await ask(fill(routes.deployment, { id }))).json()) as Deployment

  /** Yields the log while it is written, until its end. */
  async function* events(id: string): AsyncGenerator<DeploymentEvent, void> {
    const leaving = new AbortController()
    const signal = AbortSignal.any([leaving.signal, AbortSignal.timeout(120_000)])
    const answer = await ask(fill(routes.events, { id }), 'application/x-ndjson', signal)
    let rest = ''
    try {
      for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop()!
        for (const line of lines.filter(Boolean)) {
          const message = JSON.parse(line) as StreamMessage
          if ('seq' in message) yield message
        }
      }
    } finally {
      leaving.abort()
    }
  }

  return {
    ask,
    source,
    archive,
    deployment,

    /** Sends `PUT /deploy/{app}` as a program does. */
    async put(
      app: string,
      query: string,
      from: Files | Buffer,
      headers: Record<string, string> = {},
    ) {
      const body = Buffer.isBuffer(from) ? from : await archive(await source(from))
      return fetch(`${lab.gateway}/deploy/${app}?${query}`, {
        method: 'PUT',
        headers: { authorization, accept: 'application/json', ...headers },
        body: new Uint8Array(body),
      })
    },

    /** Sends a source without waiting for the result. Returns the deployment's id. */
    async submit(app: string, files: Files, query = ''): Promise<string> {
      const answer = await this.put(app, `follow=false&${query}`, files)
      expect(answer.status).toBe(202)
      return ((await answer.json()) as Deployment).id
    },

    /**
     * Sends a source with `?wait=true`. Returns the answer, and the record and the log of the
     * deployment.
     */
    async held(app: string, files: Files, query = '') {
      const answer = await this.put(app, `wait=true&${query}`, files)
      const text = await answer.text()
      const ended = await this.end(answer.headers.get('Location')!.split('/').at(-1)!)
      return { status: answer.status, text, ...ended }
    },

    /** Runs the command of the README in a bare shell. */
    async curl(folder: string, path: string, ...more: string[]): Promise<string> {
      const line =
        'tar cz . | curl -sSNT - -H "Authorization: Bearer $T" "$@" $GATEWAY/deploy/$TARGET'
      const env = { PATH: process.env['PATH'], T: lab.token, GATEWAY: lab.gateway, TARGET: path }
      const options = { cwd: folder, env, timeout: curlMs }
      return (await run('sh', ['-c', line, 'sh', ...more], options)).stdout
    },

    /** Waits until the log holds such an event. */
    async seen(id: string, wanted: (event: DeploymentEvent) => boolean): Promise<DeploymentEvent> {
      const before: DeploymentEvent[] = []
      for await (const event of events(id)) {
        if (wanted(event)) return event
        before.push(event)
      }
      throw new Error(`the log ended before: ${JSON.stringify(before, null, 1)}`)
    },

    /** Waits for the end. Returns the record and the log, which must agree on the moves. */
    async end(
      id: string,
    ): Promise<{ record: Deployment; log: DeploymentEvent[]; states: DeploymentState[] }> {
      const log = await Array.fromAsync(events(id))
      const record = await deployment(id)
      expect(log.map(({ seq }) => seq)).toEqual(log.map((_, index) => index + 1))
      const moves = log.filter((event) => event.type === 'state')
      expect(moves.map(({ from }) => from)).toEqual([
        null,
        ...moves.slice(0, -1).map(({ state }) => state),
      ])
      expect(moves.at(-1)?.state).toBe(record.state)
      expect(moves.at(-1)?.problem).toEqual(record.problem ?? undefined)
      expect(isFinal(record.state)).toBe(true)
      return { record, log, states: moves.map(({ state }) => state) }
    },

    /** Reads the app's page through the front proxy. */
    async page(app: string, path = '/'): Promise<string> {
      const { stdout } = await run('curl', [
        '-sS',
        '-m',
        '10',
        '-H',
        `Host: ${app}.localhost`,
        lab.apps + path,
      ])
      return stdout
    },

    async machines(app: string): Promise<Machine[]> {
      const headers = { authorization: `Bearer ${lab.flyToken}` }
      for (;;) {
        const answer = await fetch(`${lab.flyApi}/v1/apps/${app}/machines`, { headers })
        if (answer.status !== 429) return answer.ok ? ((await answer.json()) as Machine[]) : []
        await sleep(1000) // the gateway's requests share the same limits
      }
    },
  }
}
