import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { DeploymentOptions } from '#api/options.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import type { Deployer } from '../../../gateway/src/deploy/deployer.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { deploySteps } from '../../../gateway/src/pipeline/deploy-steps.ts'
import type { DeployInput } from '../../../gateway/src/pipeline/steps.ts'

const options = DeploymentOptions.parse({})
const desiredIn = (region: string) =>
  desiredApp({ flyToml: null, app: 'shop', options, defaults: { region } })
const progress: DeployProgress = {
  desired: desiredIn('saved'),
  steps: [],
  rollbackReason: null,
  live: false,
}
const image = { reference: 'r/shop@sha256:aa', digest: 'sha256:aa', tags: [] }
const deployment = {
  id: 'd1',
  number: 1,
  app: 'shop',
  owner: null,
  options,
  from: null,
  source: { digest: 'sha256:bb', files: 0, sizeBytes: 0 },
} as unknown as Deployment

test.each<[string, Partial<DeployInput>, string, number]>([
  ['that of the saved progress', { desired: desiredIn('analyzed'), rollout: progress }, 'saved', 0],
  ['else what the analysis read', { desired: desiredIn('analyzed'), rollout: null }, 'analyzed', 0],
  ['else that of the source', { desired: null, rollout: null }, 'source', 1],
])('the config of a deploy is %s', async (_, given, region, reads) => {
  const deployed: string[] = []
  let fetched = 0
  const deployer: Pick<Deployer, 'deploy' | 'ensureApp'> = {
    deploy: async ({ desired }) => void deployed.push(desired.region),
    ensureApp: async () => null,
  }
  const steps = deploySteps({
    deployer: deployer as Deployer,
    fly: { secrets: async () => [] } as never,
    store: {
      releases: { find: async () => null },
      runtimeSecrets: { find: async () => null },
    } as never,
    fetch: async () => {
      fetched++
      return { digest: 'sha256:bb', files: 0, sizeBytes: 0, root: '/', entries: [] }
    },
    region: 'source',
    publicIps: 'report',
    vault: null as never,
    ownerRoutes: { has: () => false } as never,
    routerUrl: '',
    previews: {} as never,
  })
  const signal = new AbortController().signal
  const checkpoint = async () => {}
  const redact = <T>(value: T) => value
  const parts = { deployment, image, checkpoint, redact, signal, emit() {} }
  const work = { ...parts, desired: null, rollout: null }
  await steps.deploy({ ...work, ...given })
  expect(deployed).toEqual([region])
  expect(fetched).toBe(reads)
})
