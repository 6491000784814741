import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import type { Lab } from '../lab/start-lab.ts'

/** `parts`: milliseconds in each state, with `receiving` until the record was made. */
export type Times = { totalMs: number; parts: Record<string, number> }

/** A redeploy without machines through the gateway. */
export class ByGateway {
  readonly #lab: Lab

  constructor(lab: Lab) {
    this.#lab = lab
  }

  /** Redeploys of different owners run in parallel. */
  async redeploy(
    archive: string,
    { rebuild, owner = '' }: { rebuild: boolean; owner?: string },
  ): Promise<Times> {
    const path = `${fill(routes.deployments, { app: 'bench-gateway' })}?deploy=false&rebuild=${rebuild}&owner=${owner}`
    const { answer, sentAt } = await this.#send(path, await readFile(archive))
    const { id } = JSON.parse(answer) as Deployment
    const events = await fetch(this.#lab.gateway + fill(routes.events, { id }), {
      headers: { authorization: `Bearer ${this.#lab.token}`, accept: 'application/x-ndjson' },
    })
    const log = (await events.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as DeploymentEvent)
    const states = log.flatMap((event) => (event.type === 'state' ? [event] : []))
    const last = states.at(-1)
    if (last?.state !== 'built')
      throw new Error(`Deployment ${id} is ${last?.state}: ${JSON.stringify(last?.problem)}`)
    const parts: Record<string, number> = {}
    let from = sentAt
    let before = 'receiving'
    for (const { state, at } of states) {
      parts[before] = Date.parse(at) - from
      from = Date.parse(at)
      before = state
    }
    return { totalMs: Date.parse(last.at) - sentAt, parts }
  }

  /** The peak memory of the gateway's process so far. */
  async memoryMiB(): Promise<number> {
    const status = await readFile(`/proc/${this.#lab.gatewayProcess.pid}/status`, 'utf8')
    return Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) / 1024)
  }

  /**
   * `sentAt`: the time when the kernel got the last byte, so that unsent bytes count as the
   * gateway's time.
   */
  #send(path: string, body: Buffer): Promise<{ answer: string; sentAt: number }> {
    return new Promise((resolve, reject) => {
      let sentAt = 0
      const headers = { authorization: `Bearer ${this.#lab.token}`, 'content-length': body.length }
      const call = request(
        `${this.#lab.gateway}${path}`,
        { method: 'POST', headers },
        (response) => {
          let answer = ''
          response.setEncoding('utf8').on('data', (text: string) => (answer += text))
          response.on('end', () => {
            if (response.statusCode === 202) resolve({ answer, sentAt })
            else reject(new Error(`${response.statusCode}: ${answer}`))
          })
        },
      )
      call.on('error', reject).on('finish', () => (sentAt = Date.now()))
      call.end(body)
    })
  }
}
