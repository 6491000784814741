import { execFile, fork, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, readFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import type { SourceFacts } from '../api/deployment.ts'
import { cacheDir } from '../lab/ready.ts'

export type Intake = Awaited<ReturnType<typeof openIntake>>

/** The gateway's intake in a process of its own, with the options that the gateway's node has. */
export async function openIntake() {
  const child = fork(join(import.meta.dirname, 'intake-process.ts'), {
    execArgv: ['--max-semi-space-size=2'],
    env: { ...process.env, NODE_COMPILE_CACHE: join(cacheDir, 'compiled') },
  })
  const [port] = (await once(child, 'message')) as [number]
  const origin = `http://127.0.0.1:${port}`
  return {
    /** Sends an archive to the intake of the volume `to`. */
    send: (body: Readable, to: string, headers: Record<string, string> = {}) =>
      put(`${origin}/${encodeURIComponent(to)}`, body, headers),
    /** The most memory that the process had so far. */
    async rssMb(): Promise<number> {
      return ((await (await fetch(origin)).json()) as { rssMb: number }).rssMb
    },
    async [Symbol.asyncDispose]() {
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

async function put(
  url: string,
  body: Readable,
  headers: Record<string, string>,
): Promise<SourceFacts> {
  const sending = request(url, { method: 'PUT', headers })
  const [[answer]] = await Promise.all([
    once(sending, 'response') as Promise<[IncomingMessage]>,
    pipeline(body, sending),
  ])
  const text = (await Array.fromAsync(answer)).join('')
  if (answer.statusCode !== 200) throw new Error(text)
  return JSON.parse(text) as SourceFacts
}

/** The header `Content-Digest` of a file. */
export async function contentDigestOf(path: string): Promise<string> {
  const sum = createHash('sha256')
  await pipeline(createReadStream(path), sum)
  return `sha-256=:${sum.digest('base64')}:`
}

/** Unpacks what arrives on a pipe with GNU tar, and syncs it. Returns the most memory of tar itself. */
export async function untar(body: Readable, how: string, to: string): Promise<number> {
  const tar = spawn('tar', ['-x', ...(how ? [how] : []), '-f', '-', '-C', to], {
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  let most = 0
  const look = setInterval(() => (most = Math.max(most, memoryMbOf(tar.pid!))), 20)
  const [[code]] = await Promise.all([once(tar, 'exit'), pipeline(body, tar.stdin)])
  clearInterval(look)
  if (code !== 0) throw new Error(`tar ended with ${code}`)
  await promisify(execFile)('sync', ['--file-system', to])
  return most
}

function memoryMbOf(pid: number): number {
  try {
    const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Math.round((Number(kib ?? 0) * 1024) / 1e6)
  } catch {
    return 0 // it has ended
  }
}
