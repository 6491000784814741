/**
 * The appliance in the lab: the image of `gateway/Dockerfile`, as it ships, built by the lab's own
 * gateway, and run by localfly as a machine.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Deployment } from '#api/deployment.ts'
import { poll } from '#api/flow/retry.ts'
import { settingsInLab } from './parts/up-in-lab.ts'
import type { Lab } from './start-lab.ts'
import { askFly, deployPaths } from './use-lab.ts'

type At<Part extends keyof Lab> = Pick<Lab, Part>
type Machine = {
  id: string
  private_ip: string
  events: { status: string }[]
  config: { env: object; mounts?: { volume: string }[] }
}

const root = join(import.meta.dirname, '..')
/** What the Dockerfile copies. */
const paths = ['package.json', 'package-lock.json', 'api', 'fly', 'gateway']
const readyMs = 120_000
const region = 'ams'
const port = 8080
const never = new AbortController().signal

/** Builds the image through the lab's gateway. Returns its name with the digest. */
export async function buildAppliance(
  lab: At<'gateway' | 'token'>,
  app: string,
): Promise<{ image: string; deployment: Deployment }> {
  const options = { deploy: 'false', dockerfile: 'gateway/Dockerfile' }
  const deployment = await deployPaths(lab, app, { folder: root, paths }, options)
  if (deployment.state !== 'built' || !deployment.image)
    throw new Error(
      `the appliance was not built: ${deployment.problem?.detail ?? deployment.state}`,
    )
  return { image: deployment.image.reference, deployment }
}

/** Makes the app, the volume and the machine, and waits until the gateway in it is ready. */
export async function createAppliance(
  lab: At<'flyApi' | 'flyToken' | 'inside'>,
  { app, image, settings = {} }: { app: string; image: string; settings?: Record<string, string> },
): Promise<Appliance> {
  const token = randomBytes(24).toString('base64url')
  const apply = <T>(method: string, path: string, body?: object) =>
    askFly<T>(lab, method, `/apps/${app}${path}`, body)

  const volumes = await apply<{ id: string }[]>('GET', '/volumes')
  const volume =
    volumes[0] ??
    (await apply<{ id: string }>('POST', '/volumes', { name: 'data', region, size_gb: 10 }))
  const env = {
    ...settingsInLab(lab),
    TARMAC_TOKENS: token,
    TARMAC_SECRETS_KEY: randomBytes(32).toString('base64'),
    ...settings,
  }
  const config = {
    image,
    env,
    guest: { cpu_kind: 'performance', cpus: 2, memory_mb: 4096 },
    mounts: [{ volume: volume.id, path: '/data' }],
    restart: { policy: 'on-failure', max_retries: 10 },
    services: [{ protocol: 'tcp', internal_port: port, ports: [{ port: 80, handlers: ['http'] }] }],
    stop_config: { signal: 'SIGTERM', timeout: '60s' },
  }
  const { id } = await apply<Machine>('POST', '/machines', { region, config })
  const appliance = await applianceAt(lab, { app, id, token })
  await appliance.ready()
  return appliance
}

export type Appliance = Awaited<ReturnType<typeof applianceAt>>

/**
 * The machine `id` as an appliance. Its address `gateway` is the machine's own, as on a private
 * network.
 */
export async function applianceAt(
  lab: At<'flyApi' | 'flyToken'>,
  { app, id, token }: { app: string; id: string; token: string },
) {
  const apply = <T>(method: string, path: string, body?: object) =>
    askFly<T>(lab, method, `/apps/${app}${path}`, body)
  const machine = `/machines/${id}`
  const { private_ip, config: first } = await apply<Machine>('GET', machine)
  const gateway = `http://${private_ip}:${port}`
  const ends = async () =>
    (await apply<Machine>('GET', machine)).events.filter(({ status }) => status === 'stopped')
      .length

  return {
    app,
    id,
    gateway,
    token,

    /** Waits until `/readyz` says so. Returns how long that took, in milliseconds. */
    async ready(): Promise<number> {
      const since = performance.now()
      const headers = { authorization: `Bearer ${token}` }
      let last = ''
      const isReady = async () => {
        const signal = AbortSignal.timeout(5_000)
        const answer = await fetch(`${gateway}/readyz`, { headers, signal }).catch(() => null)
        if (answer) last = await answer.text()
        return answer?.status === 200 || null
      }
      if (!(await poll(isReady, { everyMs: 50, forMs: readyMs }, never)))
        throw new Error(`the appliance ${id} is not ready: ${last}`)
      return performance.now() - since
    },

    /** Runs a command in the machine. */
    async exec(...command: string[]): Promise<string> {
      const said = await apply<{ exit_code: number; stdout: string; stderr: string }>(
        'POST',
        `${machine}/exec`,
        { command, timeout: 30 },
      )
      if (said.exit_code !== 0)
        throw new Error(`${command.join(' ')}: ${said.exit_code} ${said.stderr}`)
      return said.stdout
    },

    /** Kills the machine's program without a warning. The restart policy starts the machine again. */
    async kill(): Promise<void> {
      const before = await ends()
      await apply('POST', `${machine}/signal`, { signal: 'SIGKILL' })
      const isDown = async () => (await ends()) > before || null
      if (!(await poll(isDown, { everyMs: 300, forMs: readyMs }, never)))
        throw new Error(`the machine ${id} survived a SIGKILL`)
    },

    async stop(): Promise<void> {
      await apply('POST', `${machine}/stop`)
      await apply('GET', `${machine}/wait?state=stopped&timeout=60`)
    },
    async start(): Promise<void> {
      await apply('POST', `${machine}/start`)
    },

    /** Changes settings of the gateway, by a new version of the machine. */
    async set(more: Record<string, string>): Promise<void> {
      const now = await apply<Machine>('GET', machine)
      await apply('POST', machine, {
        config: { ...now.config, env: { ...now.config.env, ...more } },
      })
    },
    async reaches(state: 'started' | 'stopped'): Promise<void> {
      await apply('GET', `${machine}/wait?state=${state}&timeout=60`)
    },

    /** Removes the machine. The volume stays, unless it is to go as well. */
    async destroy({ withVolume = false } = {}): Promise<void> {
      await apply('DELETE', `${machine}?force=true`)
      await apply('GET', `${machine}/wait?state=destroyed&timeout=60`)
      if (withVolume) await apply('DELETE', `/volumes/${first.mounts?.[0]?.volume}`)
    },
  }
}
