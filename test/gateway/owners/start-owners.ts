import type { ProblemBody } from '../../../api/problem/body.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import type { DestroyedOwner, Owner, OwnerPage } from '../../../api/owners/owner.ts'
import { startMachines } from '../start-machines.ts'

const flyToml = `[[mounts]]
source = "data"
destination = "/data"
[http_service]
internal_port = 8080
auto_stop_machines = "stop"
auto_start_machines = true`

/** A gateway with the app `shop`, whose config mounts a volume, and calls about its owners. */
export async function startOwners(settings: Parameters<typeof startMachines>[0] = {}) {
  const gateway = await startMachines({ flyToml, ...settings })
  const { images, store, source, call, deploy } = gateway
  const { digest } = images.put('shop', 'v1')
  const options = DeploymentOptions.parse({ deploy: false })
  await store.create({ id: 'built', app: 'shop', options, source })
  await gateway.build('built', { reference: `${images.host}/shop@${digest}`, digest, tags: [] })
  const path = '/v1/apps/shop/owners'
  return Object.assign(gateway, {
    deployOwner: (owner: string, more: object = {}) =>
      deploy('shop', { deployment: 'built' }, { owner, ...more }),
    list: async (query = '') => (await call<OwnerPage & ProblemBody>('GET', path + query)).body,
    show: (owner: string) => call<Owner & ProblemBody>('GET', `${path}/${owner}`),
    change: (owner: string, action: string) =>
      call<Owner & ProblemBody>('POST', `${path}/${owner}/${action}`),
    destroy: (owner: string, query: string) =>
      call<DestroyedOwner & ProblemBody>('DELETE', `${path}/${owner}?${query}`),
    machineOf: (owner: string, app = 'shop') =>
      gateway.fly.machines(app).find(({ config }) => config.metadata?.['tarmac_owner'] === owner),
  })
}
