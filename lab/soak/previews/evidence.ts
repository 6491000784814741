import { z } from 'zod'
import type { FlyState } from '../../localfly/state.ts'
import type { GatewayProcess } from './gateway-process.ts'

const Deployments = z.object({ deployments: z.array(z.looseObject({ id: z.string() })) })
const lastLines = 8

/** What the records and Fly say of a preview at this moment, a line each. For the report of a fault. */
export async function evidenceOf(
  { id, name, gateway }: { id: string; name: string; gateway: GatewayProcess },
  fly: FlyState,
): Promise<string[]> {
  const lines: string[] = []
  const read = async (path: string) => {
    const { status, body } = await gateway.call('GET', path)
    lines.push(`GET ${path}: ${status} ${typeof body === 'string' ? '' : JSON.stringify(body)}`)
    return body
  }
  lines.push(`gateway up since ${gateway.upSince ? new Date(gateway.upSince).toISOString() : '-'}`)
  await read(`/v1/previews/${id}`)
  const list = Deployments.safeParse(await read(`/v1/apps/${name}/deployments`)).data
  for (const deployment of list?.deployments ?? []) {
    const log = await read(`/v1/deployments/${deployment.id}/log`)
    const own = String(log).trimEnd().split('\n').slice(-lastLines)
    lines.push(...own.map((line) => `  ${line}`))
  }
  await read('/v1/pools?app=shop')
  const machines = fly.machinesOf(name).map(({ id: machine, state, cordoned, events, config }) => {
    const event = events[0] && `${events[0].type} at ${new Date(events[0].timestamp).toISOString()}`
    return `${machine} ${state}${cordoned ? ', cordoned' : ''}, ${event}, ${JSON.stringify(config.metadata)}`
  })
  const made = fly.apps.get(name)?.created_at
  lines.push(
    `Fly at ${new Date().toISOString()}: ${made ? `app made ${new Date(made).toISOString()}` : 'no app'}, machines: ${machines.join('; ') || 'none'}`,
  )
  return lines
}
