import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Sources } from '../../../gateway/src/sources/sources.ts'
import { startHttp, token } from '../../gateway/http/start-http.ts'
import { startProxy } from '../start-proxy.ts'

const main = join(import.meta.dirname, '../../../client/src/main.ts')

/**
 * A gateway in this process that keeps sources on a real disk, behind a line that can be cut, and a
 * folder with a client.
 */
export async function startSending(own: Parameters<typeof startHttp>[0] = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-sending-'))
  const folder = join(dir, 'source')
  mkdirSync(folder)
  const sources = await Sources.open({ dir: join(dir, 'volume') })
  const http = await startHttp({ sources, ...own })
  const proxy = await startProxy(http.port)

  return {
    http,
    proxy,
    sources,
    folder,
    dir,
    write(files: Record<string, string | Buffer>) {
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        writeFileSync(join(folder, path), content)
      }
    },
    /** Runs `tarmac deploy shop --detach` in the folder. */
    deploy(...args: string[]) {
      const env = {
        PATH: process.env['PATH'],
        TARMAC_GATEWAY: proxy.url,
        TARMAC_TOKEN: token,
        XDG_CACHE_HOME: join(dir, 'cache'),
      }
      const words = [main, 'deploy', 'shop', '--detach', ...args]
      const child: ChildProcess = spawn(process.execPath, words, { cwd: folder, env })
      const code = new Promise<number | null>((resolve) => child.once('close', resolve))
      const run = { child, out: '', err: '', code }
      child.stdout!.on('data', (chunk: Buffer) => (run.out += chunk.toString()))
      child.stderr!.on('data', (chunk: Buffer) => (run.err += chunk.toString()))
      return run
    },
    /** The newest deployment. */
    async newest() {
      const { deployments } = await http.store.list('shop', { limit: 1, before: null })
      return deployments[0]!
    },
    /** The digest that the folder has as an archive of GNU tar. */
    async digestOfTar() {
      const { Readable } = await import('node:stream')
      const tar = execFileSync('tar', ['-c', '-C', folder, '.'], { maxBuffer: 2 ** 30 })
      const signal = AbortSignal.timeout(60_000)
      return (await sources.receive(Readable.from([tar]), { signal })).digest
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]()
      await http[Symbol.asyncDispose]()
      await sources[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true })
    },
  }
}
