import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AuditEntry } from '#api/callers/audit.ts'
import { fill, routes } from '#api/routes.ts'
import { Random } from './random.ts'
import { readNumbers } from './read-numbers.ts'

const about =
  'kills a gateway at random moments while callers change things, and verifies its audit trail after each kill: [--kills 200] [--seed N]'

async function run(args: string[]): Promise<boolean> {
  const plan = readNumbers(args, { kills: 200 })
  return (await killAndVerify({ ...plan, say: console.log })).length === 0
}

export const soakAudit = { about, run }

const main = join(import.meta.dirname, '../../gateway/src/main.ts')
const senders = 4
const mostMs = 400
const token = 'token-of-the-audit-soak'

/**
 * Starts a real gateway, changes things from several callers, kills it, and runs `verify-audit`, so
 * many times. Returns the faults: a trail that is not whole, a change that was answered and has no
 * entry, or one that happened without an entry.
 */
export async function killAndVerify({
  kills,
  seed,
  say,
}: {
  kills: number
  seed: number
  say: (line: string) => void
}): Promise<string[]> {
  say(`soak: seed ${seed}`)
  const random = new Random(seed, 'audit')
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-audit-soak-'))
  const faults: string[] = []
  const answered = new Set<string>()
  try {
    for (let kill = 1; kill <= kills; kill++) {
      const gateway = await startGateway(dir)
      const load = Promise.all(
        Array.from({ length: senders }, (_, at) =>
          change(gateway.url, { app: `app-${kill}`, prefix: `K${kill}_${at}` }, answered),
        ),
      )
      // Some are killed before anything is answered, most while changes are.
      const before = answered.size
      const state = { hasEnded: false }
      void load.then(() => (state.hasEnded = true))
      if (random.fraction() < 0.8)
        while (answered.size === before && !state.hasEnded) await sleep(5)
      await sleep(random.upTo(mostMs))
      gateway.child.kill('SIGKILL')
      await Promise.all([load, gateway.ended])
      const { code, out } = await verify(dir)
      if (code !== 0) faults.push(`kill ${kill}: verify-audit ended with ${code}: ${out}`)
      if (kill % 10 === 0)
        say(`soak: ${kill} kills, ${answered.size} changes, ${faults.length} faults`)
    }
    faults.push(...(await missingEntries(dir, kills, answered)))
  } finally {
    await rm(dir, { recursive: true })
  }
  for (const fault of faults) say(`FAULT: ${fault}`)
  say(`soak: ${kills} kills, ${answered.size} answered changes, ${faults.length} faults`)
  return faults
}

/** Stores secrets, each with a new name, until the gateway is gone. */
async function change(
  url: string,
  { app, prefix }: { app: string; prefix: string },
  answered: Set<string>,
): Promise<void> {
  for (let at = 0; ; at++) {
    const name = `${prefix}_${at}`
    const path = fill(routes.secret, { app, name })
    try {
      const answer = await fetch(url + path, { method: 'PUT', headers: headers(), body: 'value' })
      if (answer.ok) answered.add(name)
      else return
    } catch {
      return
    }
    const gone = fill(routes.secret, { app, name: `${prefix}_${at - 10}` })
    if (at >= 10) await fetch(url + gone, { method: 'DELETE', headers: headers() }).catch(() => {})
  }
}

async function missingEntries(
  dir: string,
  kills: number,
  answered: Set<string>,
): Promise<string[]> {
  const gateway = await startGateway(dir)
  try {
    const accept = { Accept: 'application/x-ndjson' }
    const answer = await fetch(`${gateway.url}${routes.audit}?command=putSecret`, {
      headers: { ...headers(), ...accept },
    })
    const entries = (await answer.text())
      .trimEnd()
      .split('\n')
      .map((line) => AuditEntry.parse(JSON.parse(line)))
    const ok = new Set(entries.filter(({ result }) => result === 'ok').map(nameOf))
    const any = new Set(entries.map(nameOf))

    const faults = [...answered]
      .filter((name) => !ok.has(name))
      .map((name) => `${name} was answered, and has no entry`)
    for (let app = 1; app <= kills; app++) {
      const list = await fetch(gateway.url + fill(routes.secrets, { app: `app-${app}` }), {
        headers: headers(),
      })
      for (const [, name] of (await list.text()).matchAll(/"name":"(K\w+)"/g))
        if (!any.has(name!)) faults.push(`${name} is stored, and has no entry`)
    }
    return faults
  } finally {
    gateway.child.kill('SIGKILL')
    await gateway.ended
  }
}

const nameOf = ({ asked }: AuditEntry) => String(asked?.['name'])
const headers = () => ({ Authorization: `Bearer ${token}` })

/** It has no build daemon, no registry and no Fly: nothing here needs them. */
const settingsOf = (dir: string) => ({
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: join(tmpdir(), 'tarmac-soak-compiled'),
  TARMAC_DATA: join(dir, 'data'),
  TARMAC_PORT: '0',
  TARMAC_CONTEXT_PORT: '0',
  TARMAC_TOKENS: token,
  TARMAC_SECRETS_KEY: '11'.repeat(32),
  TARMAC_BUILDKIT: `unix://${dir}/none`,
  TARMAC_BUILD_BRIDGE: '',
  TARMAC_PLAN_NETWORK: 'none',
  TARMAC_FLY_API: 'http://127.0.0.1:9',
  TARMAC_FLY_WEB_API: 'http://127.0.0.1:9',
  TARMAC_FLY_TOKEN: 'secret',
  TARMAC_REGISTRY: '127.0.0.1:9',
})

async function startGateway(
  dir: string,
): Promise<{ url: string; child: ChildProcess; ended: Promise<unknown> }> {
  const child = spawn(process.execPath, [main], {
    env: settingsOf(dir),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit')
  let printed = ''
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        printed += String(text)
        const found = /"url":"([^"]+)","msg":"gateway listens"/.exec(printed)?.[1]
        if (found) resolve(found)
      })
    ended.then(() => reject(new Error(`The gateway ended: ${printed.slice(-2000)}`)), reject)
  })
  return { url, child, ended }
}

function verify(dir: string): Promise<{ code: number; out: string }> {
  return new Promise((resolve) =>
    execFile(
      process.execPath,
      [main, 'verify-audit'],
      { env: settingsOf(dir) },
      (error, out, err) => resolve({ code: Number(error?.code ?? 0), out: out + err }),
    ),
  )
}
