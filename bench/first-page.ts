/** How long the gateway takes for a page of the dashboard, beside a bare server that has its bytes. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import { join } from 'node:path'
import type { Lab } from '../lab/start-lab.ts'

export type FirstPage = { bytes: number; pageMs: number; staticMs: number; ratio: number }

const rounds = 300
const warmUp = 50

/** Logs in as a browser does. Returns the cookie. */
export async function dashboardCookie(lab: Lab): Promise<string> {
  const answer = await fetch(`${lab.gateway}/ui/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: lab.gateway },
    body: new URLSearchParams({ token: lab.token }),
  })
  const [cookie] = answer.headers.getSetCookie()
  if (cookie === undefined) throw new Error(`no login: ${answer.status}`)
  return cookie.split(';')[0]!
}

/**
 * The median of the time to the last byte of the page, on a new connection each time, as a browser has
 * for its first page. The two servers are asked in turns.
 */
export async function firstPage(lab: Lab, cookie: string, path: string): Promise<FirstPage> {
  const url = lab.gateway + path
  const page = await timed(url, cookie)
  await using still = await staticServer(page.body)
  const [pages, statics]: number[][] = [[], []]
  for (let round = 0; round < warmUp + rounds; round++) {
    const [one, other] = [await timed(url, cookie), await timed(still.url, cookie)]
    if (round < warmUp) continue
    pages!.push(one.ms)
    statics!.push(other.ms)
  }
  const [pageMs, staticMs] = [medianOf(pages!), medianOf(statics!)]
  return { bytes: page.body.length, pageMs, staticMs, ratio: rounded(pageMs / staticMs) }
}

/** The size of all scripts and styles that these pages load, as served without compression. */
export async function assetBytes(lab: Lab, cookie: string, paths: string[]): Promise<number> {
  const names = new Set<string>()
  const read = async (path: string): Promise<number> => {
    if (names.has(path)) return 0
    names.add(path)
    const { body } = await timed(lab.gateway + path, cookie)
    const imported = [...body.toString().matchAll(/from '(\/ui\/assets\/[^']+)'/g)]
    const more = await Promise.all(imported.map(([, address]) => read(address!)))
    return body.length + more.reduce((sum, bytes) => sum + bytes, 0)
  }

  let sum = 0
  for (const path of paths) {
    const text = (await timed(lab.gateway + path, cookie)).body.toString()
    for (const [, asset] of text.matchAll(/(?:src|href)="(\/ui\/assets\/[^"]+\.(?:css|js))"/g))
      sum += await read(asset!)
  }
  return sum
}

function timed(url: string, cookie: string): Promise<{ ms: number; body: Buffer }> {
  const from = performance.now()
  return new Promise((resolve, reject) => {
    get(url, { agent: false, headers: { cookie, accept: 'text/html' } }, (answer) => {
      const pieces: Buffer[] = []
      answer.on('data', (piece: Buffer) => pieces.push(piece))
      answer.on('end', () => {
        const ms = performance.now() - from
        if (answer.statusCode === 200) resolve({ ms, body: Buffer.concat(pieces) })
        else reject(new Error(`${url}: ${answer.statusCode}`))
      })
    }).on('error', reject)
  })
}

async function staticServer(body: Buffer) {
  const child = fork(join(import.meta.dirname, 'static-page.ts'))
  const [port] = (await once(child, 'message')) as [number]
  child.send(body.toString())
  await once(child, 'message')
  return {
    url: `http://127.0.0.1:${port}/`,
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit')
      child.kill()
      await gone
    },
  }
}

const medianOf = (values: number[]): number =>
  rounded(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Infinity)
const rounded = (value: number): number => Math.round(value * 100) / 100
