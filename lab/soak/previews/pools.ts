import type { Random } from '../random.ts'
import type { GatewayProcess } from './gateway-process.ts'
import type { World } from './world.ts'

const poolSize = 2
const template = 'small'
const config = (memory: number) =>
  `[http_service]\ninternal_port = 8080\n[[vm]]\nmemory = "${memory}mb"\n`

/** Gives each gateway a pool for one of its apps. */
export async function setPools({ gateways, registry }: World): Promise<void> {
  const image = `${registry}/library/alpine:latest`
  for (const [at, gateway] of gateways.entries()) {
    const rest = at % 2 === 0 ? 'suspended' : 'stopped'
    await setTemplate(gateway, 256)
    const path = `/v1/apps/shop/pools/${template}`
    const { status, body } = await gateway.call('PUT', path, { image, size: poolSize, rest })
    if (status !== 200) throw new Error(`the pool was not set: ${JSON.stringify(body)}`)
  }
}

export async function removePools({ gateways }: World): Promise<void> {
  await Promise.all(gateways.map(removePool))
}

async function removePool(gateway: GatewayProcess): Promise<void> {
  const path = `/v1/apps/shop/pools/${template}`
  while (![200, 404].includes((await gateway.call('DELETE', path)).status)) await gateway.up
}

const setTemplate = (gateway: GatewayProcess, memory: number) =>
  gateway.call('PUT', `/v1/apps/shop/templates/${template}`, { config: config(memory) })

/** A new version of the template: what waits is replaced. */
export async function changeTemplate(gateway: GatewayProcess, random: Random): Promise<string> {
  const { status } = await setTemplate(gateway, 256 * (1 + random.upTo(3)))
  return `template changed ${status}`
}

/** What a request that fits a pool asks, beside owner and source. */
export const pooledRequest = { app: 'shop', template }
