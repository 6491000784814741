import { randomBytes } from 'node:crypto'
import { errorMessage } from '#api/error-code.ts'
import { pause } from '#api/flow/retry.ts'
import { isObject } from '#api/is-object.ts'
import { Problem } from '#api/problem.ts'
import type { App } from '#fly/answers.ts'
import { isUnavailable } from '#fly/fly-calls.ts'
import type { MachineConfig, MachineRef } from '#fly/machine.ts'
import { parsed } from '../builder/ask-inside.ts'
import { imageRole, roleKey } from '../builder/machine-config.ts'
import type { FlyParts } from '../fly-parts.ts'
import { buildScript, readScript, work } from './build-script.ts'
import { buildkitOf, findCheckout, packCheckout } from './checkout.ts'

type Settings = {
  env: Record<string, string | undefined>
  /** Where to look for a checkout, from this folder up. */
  folder: string
}

const guest = { cpu_kind: 'performance', cpus: 2, memory_mb: 4096 }
const startMs = 300_000
const lookMs = 2000
const lastLines = 30
const mostLetters = 160

/**
 * Builds the gateway's image from the checkout that this client belongs to: by a machine in the
 * builder's app, with stock BuildKit, that pushes it to the app's repository and goes. Returns the
 * image by its digest.
 */
export const imageMaker =
  (fly: FlyParts, { env, folder }: Settings) =>
  async ({ name: app }: App, region: string): Promise<string> => {
    const root = await findCheckout(folder)
    if (!root)
      throw new Problem(
        'option-invalid',
        'Name the image of the gateway: tarmac up --image REF. Only the client of a checkout of Tarmac can build one (git clone, npm ci, npx tarmac up).',
      )
    const context = await packCheckout(root)
    const registry = env['FLY_REGISTRY_HOST'] || 'registry.fly.io'
    const tag = `builder-${randomBytes(6).toString('hex')}`
    const image = `${registry}/${app}:${tag}`
    const buildkit = await buildkitOf(root)
    const config = configOf({ context, registry, image, buildkit })

    fly.report(
      `image ${image}: a machine with ${buildkit} builds it from ${root} (${Math.ceil(context.length / 1024)} KiB packed); this takes some minutes`,
    )
    const body = { name: `tarmac-${tag}`, region, config }
    const { id } = await fly.machines.createMachine(app, body, fly.signal)
    const ref = { app, id }
    const begunAt = performance.now()
    try {
      const digest = await follow(fly, ref)
      const seconds = Math.round((performance.now() - begunAt) / 1000)
      fly.report(`image ${image}: built and pushed in ${seconds} s`)
      return `${registry}/${app}@${digest}`
    } finally {
      // A client that is killed leaves it to the next run, or to its own end.
      await fly.machines
        .withoutLease(ref)
        .destroy(AbortSignal.timeout(20_000))
        .catch((error: unknown) =>
          fly.report(
            `machine ${id}: it could not be destroyed (${errorMessage(error)}); it ends itself`,
          ),
        )
    }
  }

function configOf(build: {
  context: Buffer
  registry: string
  image: string
  buildkit: string
}): MachineConfig {
  const { context, registry, image, buildkit } = build
  // A registry on an address without TLS is one of a lab.
  const isPlain = /^(?:localhost|\d+\.\d+\.\d+\.\d+)(?::\d+)?$/.test(registry)
  return {
    image: buildkit,
    guest,
    init: { exec: ['/bin/sh', `${work}/build.sh`] },
    env: {
      HOME: '/root',
      BUILD_REGISTRY: registry,
      BUILD_IMAGE: image,
      BUILD_MORE: isPlain ? ',registry.insecure=true' : '',
    },
    files: [
      { guest_path: `${work}/build.sh`, raw_value: Buffer.from(buildScript).toString('base64') },
      { guest_path: `${work}/context.tar.gz`, raw_value: context.toString('base64') },
    ],
    restart: { policy: 'no' },
    auto_destroy: true,
    metadata: { [roleKey]: imageRole },
  }
}

/** Reports the steps of the build. Returns the digest. Throws with its last lines. */
async function follow(fly: FlyParts, ref: MachineRef): Promise<string> {
  const begun = { state: ['started', 'stopped', 'failed'], withinMs: startMs } as const
  if (!(await fly.machines.wait(ref, begun, fly.signal)))
    throw failed(`its machine did not start within ${startMs / 1000} s`, '')

  let log = ''
  const seen = new Set<string>()
  for (;;) {
    const said = await read(fly, ref, Buffer.byteLength(log))
    if (said) {
      const { status, digest } = said
      // A line that is not whole yet is read again, whole.
      const more = status === '' ? said.text.slice(0, said.text.lastIndexOf('\n') + 1) : said.text
      report(fly, more, seen)
      log += more
      if (status === '0' && digest) return digest
      if (status !== '') throw failed(`it ended with exit code ${status}`, log)
    } else if (!(await isRunning(fly, ref)))
      throw failed('its machine ended before the build did', log || (await logOf(fly, ref)))
    await pause(lookMs, fly.signal)
  }
}

type Said = { status: string; digest: string | null; text: string }

/** Null: the machine does not answer now. */
async function read(fly: FlyParts, ref: MachineRef, from: number): Promise<Said | null> {
  const command = ['/bin/sh', '-c', readScript(from)]
  try {
    const { stdout } = await fly.builder.exec(ref, { command, seconds: 20 }, fly.signal)
    const [status = '', metadata = '', ...lines] = (stdout ?? '').split('\n')
    const facts = parsed(metadata)
    const digest = isObject(facts) ? facts['containerimage.digest'] : null
    return {
      status: status.trim(),
      digest: typeof digest === 'string' ? digest : null,
      text: lines.join('\n'),
    }
  } catch (error) {
    fly.signal.throwIfAborted()
    if (error instanceof Problem || isUnavailable(error)) return null
    throw error
  }
}

async function isRunning(fly: FlyParts, ref: MachineRef): Promise<boolean> {
  const machine = await fly.machines.machine(ref, fly.signal)
  return machine !== null && ['started', 'starting', 'created'].includes(machine.state)
}

const logOf = (fly: FlyParts, ref: MachineRef): Promise<string> =>
  fly.machines
    .machineLog(ref, lastLines, fly.signal)
    .then((lines) => lines.map(({ text }) => text).join('\n'))
    .catch((error: unknown) => `Fly does not give its log: ${errorMessage(error)}`)

/**
 * The beginnings of steps, such as `#12 [packages 4/4] RUN npm ci`, and errors. BuildKit says a
 * beginning again whenever other steps have printed something, so `seen` has those of this build.
 */
function report(fly: FlyParts, more: string, seen: Set<string>): void {
  for (const line of more.split('\n')) {
    const [, number, isOwn] =
      /^#(\d+) (?:\[(?:internal|auth)\]|(\[|ERROR|exporting to))/.exec(line) ?? []
    const step = line.includes(' ERROR') ? line : `#${number}`
    if (!isOwn || seen.has(step)) continue
    seen.add(step)
    fly.report(shortened(line))
  }
}

const shortened = (line: string): string =>
  line.length <= mostLetters ? line : `${line.slice(0, mostLetters)}…`

function failed(why: string, log: string): Problem {
  const lines = log.trimEnd().split('\n').slice(-lastLines)
  return new Problem(
    'builder-failed',
    `The image could not be built: ${why}. Its last lines:\n${lines.map((line) => `  ${line}`).join('\n')}\nWhen the cause is removed, run tarmac up again. To use an image that exists: --image REF.`,
  )
}
