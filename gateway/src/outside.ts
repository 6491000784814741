import { FlyAccess } from '#fly/fly-access.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { MetricsApi } from '#fly/metrics/metrics-api.ts'
import { ReleasesApi } from '#fly/releases-api.ts'
import { RequestBudget } from '#fly/request-budget.ts'
import { overUndici } from '#fly/undici-transport.ts'
import type { Config } from './config.ts'
import { Deployer } from './deploy/deployer.ts'
import type { Logger } from './log.ts'
import { speaksPlainHttp } from './registry/plain-http.ts'
import { namedHosts } from './registry/public-agent.ts'
import { Registry } from './registry/registry.ts'

type Opening = { config: Config; log: Logger; opening: AsyncDisposableStack }

/** Fly's APIs, what deploys through them, and the registry of the apps' images. */
export function openOutside({ config, log, opening }: Opening) {
  const { registry: host, secrets } = config
  const flyBudget = new RequestBudget()
  const endpoint = { ...overUndici(config.fly.api, secrets.fly), budget: flyBudget }
  const fly = opening.use(new MachinesApi(endpoint))
  const releases = opening.use(new ReleasesApi(overUndici(config.fly.webApi, secrets.fly)))
  const { org } = config.deployer
  const metrics = opening.use(new MetricsApi(overUndici(config.fly.webApi, secrets.fly), org))
  const warnLater = (text: string) => log.warn(text)
  const deployer = opening.use(
    new Deployer({ fly, releases, warnLater, registry: host, ...config.deployer }),
  )
  const login = { username: 'x', password: secrets.fly }
  const insecure = speaksPlainHttp(host, config.plainHttp)
  const registry = opening.use(new Registry({ host, login, insecure }))
  const registries = { registry, registryHost: host, namedRegistries: namedHosts(config) }
  const flyAccess = new FlyAccess(fly, org)
  void flyAccess.look() // for the first one who asks whether the gateway is ready
  return { fly, flyBudget, metrics, flyAccess, deployer, ...registries }
}
