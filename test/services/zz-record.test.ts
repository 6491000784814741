import { createServer } from 'node:http'
import { mkdtempSync, rmSync, writeFileSync, appendFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { startLocalfly } from '../../lab/localfly/start.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { flyctlAt } from '../flyctl.ts'
import { deployed } from '../gateway/deploy/deployed.ts'
import { pushPage } from './perl-image.ts'

const token = 'secret-fly'
const ports = { apiPort: 9421, proxyPort: 9422, registryFrontPort: 9423, controlPort: 9424 }
const url = `http://127.0.0.1:${ports.apiPort}`
const out = '/tmp/recorded.txt'
test('record', { timeout: 600_000 }, async () => {
  writeFileSync(out, '')
  const log = (s: string) => appendFileSync(out, s + '\n')
  const dir = mkdtempSync(join(tmpdir(), 'flyctl-rec-'))
  const registry = await startRegistry({ dir, port: 9420 })
  const local = await startLocalfly({ dir, name: 'rec', registry: registry.address, token, ...ports })
  const server = createServer(async (req, res) => {
    const body = Buffer.concat(await Array.fromAsync(req as AsyncIterable<Buffer>))
    const headers = new Headers()
    for (const [k, v] of Object.entries(req.headers)) if (!['host', 'connection', 'content-length', 'accept-encoding'].includes(k)) headers.set(k, String(v))
    const answer = await fetch(url + req.url, { method: req.method!, headers, ...(body.length ? { body } : {}) })
    const text = Buffer.from(await answer.arrayBuffer())
    log(`${req.method} ${req.url} nonce=${req.headers['fly-machine-lease-nonce'] ?? ''}\n   > ${body.toString().replaceAll(/\s+/g, ' ')}\n   < ${answer.status} ${text.toString().slice(0, 1500)}`)
    const h: Record<string, string> = {}
    answer.headers.forEach((v, k) => { if (!['content-length', 'transfer-encoding', 'content-encoding', 'connection'].includes(k)) h[k] = v })
    res.writeHead(answer.status, h).end(text)
  }).listen(9425, '127.0.0.1')
  const fly = flyctlAt('http://127.0.0.1:9425', token)
  const run = async (command: string) => {
    log(`\n##### ${command}`)
    const r = await fly.run(command).catch((e) => `FAILED ${e.message} ${e.stdout}`)
    log(`##### output of ${command}:\n${r}`)
  }
  const api = (method: string, path: string, body: object) => fetch(url + path, { method, headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(body) })
  try {
    await api('POST', '/v1/apps', { name: 'images', org_slug: 'personal' })
    const images: Record<string, string> = {}
    for (const page of ['one', 'two', 'three']) images[page] = await pushPage(local.registry, token, 'images', page)
    const toml = (word: string) => `app = "turns"\nprimary_region = "ams"\n[env]\nWORD = "${word}"\n[http_service]\ninternal_port = 8080\n`
    writeFileSync(join(fly.cwd, 'fly.toml'), toml('one'))
    await run('apps create turns --org personal')
    await run(`deploy --image ${local.registry}/images:one --ha=false --dns-checks=false -y`)
    rmSync(join(fly.cwd, 'fly.toml'))
    const tarmac = (app: string, number: number, page: string) => deployed({ url }, { app, token, number, image: images[page]!, flyToml: toml(page), env: { ASKED: page }, releaseWaitMs: 20000, emit: (e: any) => log(`tarmac: ${JSON.stringify(e)}`), watchMs: 500, waitMs: 20000 })
    await run('secrets set HUSH=a -a turns --stage')
    await tarmac('turns', 1, 'two')
    await run('secrets list -a turns')
    await tarmac('turns', 2, 'three')
    for (const c of ['config show', 'status', 'status --json', 'releases', 'secrets list', 'scale count 0 -y', 'scale count 1 -y', 'status', `deploy --image ${local.registry}/images:one --ha=false --dns-checks=false -y`, 'machine list --json'])
      await run(`${c} -a turns`)
    await tarmac('alone', 1, 'two')
    for (const c of ['scale count 2 -y', 'machine list --json', 'secrets list', 'releases', 'config show']) await run(`${c} -a alone`)
  } finally {
    server.close()
    await local[Symbol.asyncDispose]()
    await registry[Symbol.asyncDispose]()
  }
})
