import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GatewayProcess, operatorToken } from '../previews/gateway-process.ts'

export const authorization = { Authorization: `Bearer ${operatorToken}` }

export type World = Awaited<ReturnType<typeof startWorld>>

/**
 * A real gateway that starts again whenever it is killed. It has no build daemon: uploads and records
 * need none, and what it accepts waits in its queue.
 */
export async function startWorld(more: Record<string, string> = {}) {
  await using opening = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-uploads-soak-'))
  opening.defer(() => rm(dir, { recursive: true, force: true }))
  const data = join(dir, 'data')
  await mkdir(data)
  const gateway = opening.use(
    await GatewayProcess.start({
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: join(tmpdir(), 'tarmac-soak-compiled'),
      TARMAC_DATA: data,
      TARMAC_TOKENS: operatorToken,
      TARMAC_SECRETS_KEY: '11'.repeat(32),
      TARMAC_BUILDKIT: `unix://${dir}/none`,
      TARMAC_BUILD_BRIDGE: '',
      TARMAC_CONTEXT_PORT: '0',
      TARMAC_PLAN_NETWORK: 'none',
      TARMAC_FLY_API: 'http://127.0.0.1:9',
      TARMAC_FLY_WEB_API: 'http://127.0.0.1:9',
      TARMAC_FLY_TOKEN: 'secret',
      TARMAC_REGISTRY: '127.0.0.1:9',
      TARMAC_DRAIN: '0',
      TARMAC_CRASH_FILE: join(dir, 'crash-orders'),
      ...more,
    }),
  )
  const open = opening.move()
  return {
    gateway,
    data,
    /** What is on the volume of an upload: its recorded offset. */
    async recordedOffset(id: string): Promise<number> {
      const record = await readFile(join(data, 'uploads', id, 'offset'), 'utf8')
      return Number(record.split(' ', 1)[0])
    },
    uploads: () => readdir(join(data, 'uploads')),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}
