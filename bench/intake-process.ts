import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { portOf } from '../gateway/src/host/port-of.ts'
import { Sources } from '../gateway/src/sources/sources.ts'

// The gateway's intake alone, in a process of its own: PUT takes an archive into the folder that the
// path names, GET answers with the most memory so far. Prints its port.

async function answer(request: IncomingMessage): Promise<unknown> {
  if (request.method === 'GET') return { rssMb: mostMemoryMb() }
  const dir = decodeURIComponent(request.url!.slice(1))
  const sources = await openSources(dir)
  const contentDigest = request.headers['content-digest']?.toString()
  const signal = AbortSignal.timeout(300_000)
  return sources.receive(request, { ...(contentDigest && { contentDigest }), signal })
}

const opened = new Map<string, Promise<Sources>>()

function openSources(dir: string): Promise<Sources> {
  const known = opened.get(dir) ?? Sources.open({ dir, limits: { uploadBytes: 2 ** 33 } })
  opened.set(dir, known)
  return known
}

function mostMemoryMb(): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return Math.round((Number(kib) * 1024) / 1e6)
}

const server = createServer((request, response) => {
  answer(request).then(
    (value) => response.end(JSON.stringify(value)),
    (error: unknown) => response.writeHead(500).end(String(error)),
  )
})
server.listen(0, '127.0.0.1', () => process.send!(portOf(server)))
process.on('disconnect', () => process.exit(0))
