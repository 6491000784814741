import { expect } from 'vitest'
import type { ImageFacts } from '../../../api/deployment.ts'
import type { MachineFacts } from '../../../api/machines/deployed-machine.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import { Problem } from '../../../api/problem.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import { Deployer } from '../../../gateway/src/deploy/deployer.ts'
import type { DeployJob } from '../../../gateway/src/deploy/job.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { ReleasesApi } from '#fly/releases-api.ts'
import type { FakeFly } from '../../fakes/machines-api.ts'

export const waitMs = 3000

export type Asked = Partial<{
  api: MachinesApi
  /** The caller's Fly token: any word that begins with `secret`. */
  token: string
  number: number
  app: string
  flyToml: string
  /** By digest. Default: one of the fake's. */
  image: string
  env: Record<string, string>
  options: Partial<DeploymentOptions>
  rollout: DeployProgress | null
  signal: AbortSignal
  watchMs: number
  waitMs: number
  logWaitMs: number
  listenMs: number
  reportMs: number
  network: string | null
  builder: string | null
  /** How the image was pushed. */
  push: ImageFacts['push']
  /** Registers the deploy with Fly, and waits for its answer so long after the end. */
  releaseWaitMs: number
  warnLater: (text: string) => void
  /** What the deploy opens stays open with it. Default: it is closed at the end of the deploy. */
  opening: AsyncDisposableStack
  kept: (rollout: DeployProgress) => Promise<void>
  /** The progress of the deploy, and the stage at which it resumes. */
  stage: { verifying: boolean }
  emit: DeployJob['emit']
  redact: DeployJob['redact']
  known: DeployJob['known']
  secrets: NonNullable<DeployJob['secrets']>
  preview: NonNullable<DeployJob['preview']>
}>

/** Runs the deploy engine as the pipeline does, from the app to the verdict. */
export async function deployed(
  fake: Pick<FakeFly, 'url'>,
  asked: Asked,
): Promise<{ url: string | null; machines: MachineFacts[] }> {
  const {
    number = 1,
    app = 'web',
    flyToml = null,
    env = {},
    signal = AbortSignal.timeout(60_000),
  } = asked
  await using own = new AsyncDisposableStack()
  const opening = asked.opening ?? own
  const ownApi = { baseUrl: fake.url, token: asked.token ?? 'secret' }
  const fly = asked.api ?? opening.use(new MachinesApi(ownApi))
  const { watchMs = 600, network = null, builder = null } = asked
  const urlTemplate = 'http://{app}.flycast'
  const waits = { logWaitMs: asked.logWaitMs ?? 0, listenMs: asked.listenMs ?? 0 }
  const reports = asked.reportMs !== undefined && { reportMs: asked.reportMs }
  const times = { ...waits, ...reports, watchMs, proxyMs: 20, waitMs: asked.waitMs ?? waitMs }
  const { releaseWaitMs, warnLater = () => {} } = asked
  const web = opening.use(new ReleasesApi(ownApi))
  const registers = releaseWaitMs !== undefined && { releases: web, releaseWaitMs, warnLater }
  const settings = { fly, org: 'personal', network, builder, urlTemplate, ...times, ...registers }
  const deployer = opening.use(new Deployer(settings))
  if (!asked.rollout) await deployer.ensureApp(app, Promise.resolve(), signal)
  const options = DeploymentOptions.parse({ env, ...asked.options })
  const desired = desiredApp({ flyToml, app, options, defaults: { region: 'fra' } })
  const reference = asked.image ?? `registry.fly.io/${app}@${digest(number)}`
  const image = {
    reference,
    digest: reference.slice(reference.indexOf('@') + 1),
    tags: asked.image ? [] : [`deployment-d${number}`, 'v1'],
    ...(asked.push && { push: asked.push }),
  }
  const work: DeployJob = {
    id: `d${number}`,
    number,
    app,
    recordedApp: app,
    options,
    image,
    desired,
    signal,
    rollout: asked.rollout ?? null,
    emit: asked.emit ?? (() => {}),
    redact: asked.redact ?? ((value) => value),
    known: asked.known ?? (async () => true),
    ...(asked.secrets && { secrets: asked.secrets }),
    ...(asked.preview && { preview: asked.preview }),
    async checkpoint({ rollout, machines }) {
      Object.assign(result, { machines })
      work.rollout = rollout
      await asked.kept?.(rollout)
    },
  }
  const result = { url: null as string | null, machines: [] as MachineFacts[] }
  const { stage = { verifying: false } } = asked
  if (!stage.verifying) await deployer.deploy(work)
  stage.verifying = true
  return Object.assign(result, await deployer.verify(work))
}

export const digest = (number: number): string => `sha256:${String(number).padStart(64, '0')}`

export async function refused(outcome: Promise<unknown>): Promise<Problem> {
  const error = await outcome.then(
    () => null,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(Problem)
  return error as Problem
}
