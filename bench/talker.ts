/** A live deployment with a log that grows, and what the gateway takes to send it. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Deployment } from '../api/deployment.ts'
import { fill, routes } from '../api/routes.ts'
import type { Lab } from '../lab/start-lab.ts'

/** Lines that the step prints. */
export const perSecond = 4

/** Starts a deployment whose only step prints `line 1`, `line 2` … until it is cancelled. */
export async function deployTalker(lab: Lab, app: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  const pause = (1 / perSecond).toFixed(2)
  await writeFile(
    join(dir, 'Dockerfile'),
    `FROM alpine\nRUN n=0; while sleep ${pause}; do n=$((n+1)); echo "line $n"; done\n`,
  )
  const { stdout } = await promisify(execFile)('tar', ['cz', '-C', dir, '.'], {
    encoding: 'buffer',
  })
  await rm(dir, { recursive: true })
  const path = `${fill(routes.deployments, { app })}?deploy=false&rebuild=true`
  const { id } = (await (await ask(lab, path, 'POST', stdout)).json()) as Deployment
  while (!(await logText(lab, id)).includes('line 2')) await sleep(500)
  return id
}

const logText = async (lab: Lab, id: string) => (await ask(lab, fill(routes.log, { id }))).text()

export async function ask(
  lab: Lab,
  path: string,
  method = 'GET',
  body?: Buffer,
): Promise<Response> {
  const headers = { authorization: `Bearer ${lab.token}`, accept: 'application/x-ndjson' }
  const answer = await fetch(lab.gateway + path, {
    method,
    headers,
    ...(body && { body: new Uint8Array(body) }),
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return answer
}

export async function memoryMiB(
  { gatewayProcess: { pid } }: Lab,
  what: 'VmRSS' | 'VmHWM',
): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(new RegExp(`^${what}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024)
}
