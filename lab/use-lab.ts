/** Actions on a running lab over HTTP: deploy a folder, ask Fly, copy a machine, read a page. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Deployment } from '#api/deployment.ts'
import type { Lab } from './start-lab.ts'

type At<Part extends keyof Lab> = Pick<Lab, Part>
const run = promisify(execFile)
const deployMs = 600_000

/** Runs `tar | curl` and waits for the answer. The verdict comes from the record. */
export async function deployFolder(
  lab: At<'gateway' | 'token'>,
  app: string,
  folder: string,
  options: Record<string, string> = {},
): Promise<Deployment> {
  return deployPaths(lab, app, { folder, paths: ['.'] }, options)
}

/** Like `deployFolder`, for some paths of a folder. */
export async function deployPaths(
  lab: At<'gateway' | 'token'>,
  app: string,
  { folder, paths }: { folder: string; paths: string[] },
  options: Record<string, string> = {},
): Promise<Deployment> {
  const { stdout: body } = await run('tar', ['cz', '-C', folder, ...paths], {
    encoding: 'buffer',
    maxBuffer: 64 << 20,
  })
  const headers = { authorization: `Bearer ${lab.token}` }
  const query = new URLSearchParams({ wait: 'true', ...options }).toString()
  const path = `${lab.gateway}/deploy/${app}?${query}`
  const signal = AbortSignal.timeout(deployMs)
  const answer = await fetch(path, { method: 'PUT', headers, body: new Uint8Array(body), signal })
  const said = await answer.text()
  const location = answer.headers.get('Location')
  if (location === null) throw new Error(`${app}: ${answer.status} ${said}`)
  return (await (await fetch(lab.gateway + location, { headers, signal })).json()) as Deployment
}

export async function askFly<T>(
  lab: At<'flyApi' | 'flyToken'>,
  method: string,
  path: string,
  body?: object,
): Promise<T> {
  const signal = AbortSignal.timeout(70_000)
  for (;;) {
    const answer = await fetch(`${lab.flyApi}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${lab.flyToken}` },
      ...(body && { body: JSON.stringify(body) }),
      signal,
    })
    if (answer.ok) return JSON.parse((await answer.text()) || 'null') as T
    if (answer.status !== 429)
      throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    await sleep(1000, undefined, { signal }) // the gateway's requests share the same limits
  }
}

/** Scales an app that has a machine to this count, as `fly machine clone` does. */
export async function scaleTo(
  lab: At<'flyApi' | 'flyToken'>,
  app: string,
  count: number,
): Promise<void> {
  type Machine = { id: string; region: string; config: object }
  const machines = await askFly<Machine[]>(lab, 'GET', `/apps/${app}/machines`)
  for (let n = machines.length; n < count; n++) {
    const { region, config } = machines[0]!
    const { id } = await askFly<Machine>(lab, 'POST', `/apps/${app}/machines`, { region, config })
    await askFly(lab, 'GET', `/apps/${app}/machines/${id}/wait?state=started&timeout=60`)
  }
}

/** Destroys an app's machines in any state. */
export async function destroyMachines(lab: At<'flyApi' | 'flyToken'>, app: string): Promise<void> {
  for (const { id } of await askFly<{ id: string }[]>(lab, 'GET', `/apps/${app}/machines`)) {
    await askFly(lab, 'DELETE', `/apps/${app}/machines/${id}?force=true`)
    await askFly(lab, 'GET', `/apps/${app}/machines/${id}/wait?state=destroyed&timeout=60`)
  }
}

/** Reads a page through the front proxy. `name` is an app, or an internal name of a machine. */
export async function readPage(
  { apps }: At<'apps'>,
  name: string,
  { agent, timeoutMs = 10_000 }: { agent?: Agent; timeoutMs?: number } = {},
): Promise<{ status: number; body: string }> {
  const { port } = new URL(apps)
  const headers = { host: `${name}.localhost:${port}` }
  const signal = AbortSignal.timeout(timeoutMs)
  const call = request({ host: '127.0.0.1', port, headers, signal, ...(agent && { agent }) }).end()
  const [answer] = await once(call, 'response')
  return { status: answer.statusCode, body: await text(answer) }
}

/** A fly.toml for a page on port 8080 with a check that gives a result within seconds. */
export const quicklyChecked = (path: string): string => `[http_service]
internal_port = 8080
[[http_service.checks]]
path = "${path}"
interval = "1s"
timeout = "1s"
grace_period = "1s"
`
