import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Node } from '../gateway/src/llb/graph.ts'
import { Op } from '../gateway/src/llb/ops.ts'
import { compilePlan } from '../gateway/src/railpack/compile/compile.ts'
import { readPlan } from '../gateway/src/railpack/plan-schema.ts'
import { tools } from '../lab/ready.ts'
import type { Lab } from '../lab/start-lab.ts'

const run = promisify(execFile)
export const byHandApp = 'bench-by-hand'
const platform = `linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}`

/**
 * A redeploy by hand in a shell: `tar x`, the planner's `prepare`, `buildctl build` with a local
 * context and a push. It uses railpack's own frontend with a real railpack. Otherwise it uses our
 * compiled plan, made beforehand, on standard input.
 */
export class ByHand {
  readonly #lab: Lab
  readonly #dir: string
  #compiled: { definition: Uint8Array; config: string } | null = null

  constructor({ lab, dir }: { lab: Lab; dir: string }) {
    this.#lab = lab
    this.#dir = dir
  }

  /** Does what is needed once: the app, the login, and the frontend or the compiled plan. */
  async prepare(archive: string): Promise<void> {
    await this.#makeApp()
    await mkdir(join(this.#dir, 'docker'), { recursive: true })
    const auth = Buffer.from(`x:${this.#lab.flyToken}`).toString('base64')
    await writeFile(
      join(this.#dir, 'docker/config.json'),
      JSON.stringify({ auths: { [this.#lab.registry]: { auth } } }),
    )
    if (!this.#lab.planner.standIn) return this.#makeFrontend()
    await this.#unpack(archive)
    await this.#plan()
    const plan = readPlan(await readFile(join(this.#dir, 'plan/railpack-plan.json'), 'utf8'))
    const options = {
      cacheKey: 'by-hand',
      secretsHash: '',
      platform,
      source: localSource(),
      builtAt: new Date(0),
    }
    const { definition, image } = compilePlan(plan, options)
    this.#compiled = { definition, config: JSON.stringify(image) }
  }

  /** Does all steps. Returns milliseconds. */
  async redeploy(archive: string, { rebuild }: { rebuild: boolean }): Promise<number> {
    await rm(join(this.#dir, 'source'), { recursive: true, force: true })
    const startedAt = performance.now()
    await this.#unpack(archive)
    await this.#plan()
    await this.#build(rebuild)
    return performance.now() - startedAt
  }

  /** Does only the last step, with the existing source and plan. */
  async rebuild(): Promise<number> {
    const startedAt = performance.now()
    await this.#build(false)
    return performance.now() - startedAt
  }

  async #unpack(archive: string): Promise<void> {
    await mkdir(join(this.#dir, 'source'), { recursive: true })
    await run('tar', ['-xzf', archive, '-C', join(this.#dir, 'source')])
  }

  async #plan(): Promise<void> {
    await mkdir(join(this.#dir, 'plan'), { recursive: true })
    const outputs = [
      '--plan-out',
      join(this.#dir, 'plan/railpack-plan.json'),
      '--info-out',
      join(this.#dir, 'plan/info.json'),
    ]
    await run(this.#lab.planner.path, [
      'prepare',
      join(this.#dir, 'source'),
      '--hide-pretty-plan',
      ...outputs,
    ])
  }

  async #build(rebuild: boolean): Promise<void> {
    const [source, plan] = [join(this.#dir, 'source'), join(this.#dir, 'plan')]
    const name = `${this.#lab.registry}/${byHandApp}:latest`
    const ways = this.#compiled
      ? {
          args: [],
          output: [`"containerimage.config=${this.#compiled.config.replaceAll('"', '""')}"`],
        }
      : {
          args: `--frontend gateway.v0 --opt source=${this.#frontend} --opt cache-key=by-hand --local dockerfile=${plan}`.split(
            ' ',
          ),
          output: [],
        }
    const output = [
      'type=image',
      `name=${name}`,
      'push=true',
      'oci-mediatypes=true',
      'compression=zstd',
      ...ways.output,
    ]
    await this.#buildctl(
      [
        '--local',
        `context=${source}`,
        ...ways.args,
        '--output',
        output.join(','),
        ...(rebuild ? ['--no-cache'] : []),
      ],
      this.#compiled?.definition,
    )
  }

  /** The frontend's image is the planner itself. Only its name has to be served. */
  async #makeFrontend(): Promise<void> {
    const context = join(this.#dir, 'frontend')
    await mkdir(context, { recursive: true })
    await run('cp', [this.#lab.planner.path, join(context, 'railpack')])
    await writeFile(
      join(context, 'Dockerfile'),
      'FROM scratch\nCOPY railpack /railpack\nENTRYPOINT ["/railpack", "frontend"]\n',
    )
    const output = `type=image,name=${this.#frontend},push=true`
    const locals = ['--local', `context=${context}`, '--local', `dockerfile=${context}`]
    await this.#buildctl(['--frontend', 'dockerfile.v0', ...locals, '--output', output])
  }

  async #makeApp(): Promise<void> {
    const { flyApi, flyToken } = this.#lab
    const headers = { authorization: `Bearer ${flyToken}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ app_name: byHandApp, org_slug: 'personal' })
    const response = await fetch(`${flyApi}/v1/apps`, { method: 'POST', headers, body })
    if (!response.ok && response.status !== 422)
      throw new Error(`${byHandApp}: ${response.status} ${await response.text()}`)
  }

  get #frontend(): string {
    return `${this.#lab.registry}/${byHandApp}/frontend:latest`
  }

  async #buildctl(args: string[], input?: Uint8Array): Promise<void> {
    const env = { PATH: process.env['PATH'], DOCKER_CONFIG: join(this.#dir, 'docker') }
    const words = ['--addr', this.#lab.buildkit, 'build', '--progress', 'plain', ...args]
    const child = spawn(tools.buildctl, words, { env, stdio: ['pipe', 'ignore', 'pipe'] })
    const said: Buffer[] = []
    child.stderr.on('data', (chunk: Buffer) => said.push(chunk))
    child.stdin.end(input)
    const [code] = (await once(child, 'close')) as [number]
    if (code !== 0)
      throw new Error(
        `buildctl ended with ${code}:\n${Buffer.concat(said).toString().slice(-3000)}`,
      )
  }
}

/** As railpack's frontend names it. Our own plans name an address of the gateway. */
export function localSource(): Node {
  const attrs = { 'local.sharedkeyhint': 'local' }
  const op = { source: { identifier: 'local://context', attrs } }
  const bytes = Op.encode(op)
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  return { op, bytes, digest, inputs: [], name: 'loading .' }
}
