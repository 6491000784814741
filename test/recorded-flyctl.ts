/**
 * flyctl's requests, recorded from a real one (commit ad0172f, 2026-08-21) at a localfly, and sent
 * again in the same order. What flyctl makes of the answers is done here as its source does it, only
 * as far as the tests of `test/services/fly-releases.test.ts` look. These use a real flyctl where
 * one is on PATH.
 */
import type { Machine, MachineConfig } from '#fly/machine.ts'
import { readFlyToml } from '../gateway/src/flytoml/read-fly-toml.ts'

type Release = { id: string; version: number; status: string; imageRef: string }
type Secret = { name: string; digest: string; updated_at: string }

const currentConfig = `
query FlyctlConfigCurrentRelease ($appName: String!) {
	app(name: $appName) {
		currentReleaseUnprocessed {
			configDefinition
		}
	}
}
`
const releases =
  'query($appName: String!, $limit: Int!) { app(name: $appName) { releases: releasesUnprocessed(first: $limit) { nodes { id version description reason status imageRef stable user { id email name } createdAt } } } }'
const egress =
  'query ($appName: String!) { app(name: $appName) { egressIpAddresses { nodes { id ip version region updatedAt } } } }'
const compact =
  'query ($appName: String!) { appcompact:app(name: $appName) { id internalNumericId name hostname cnameTarget deployed network status appUrl platformVersion organization { id internalNumericId slug paidPlan } postgresAppRole: role { name } } }'
const currentVersion =
  'query ($appName: String!) { app(name:$appName) { currentRelease:currentReleaseUnprocessed { version } } }'
const image =
  'query ($appName: String!, $imageRef: String!) { app(name: $appName) { id image(ref: $imageRef) { id digest ref compressedSize: compressedSizeFull manifest } } }'

/** Runs a command as the recorded flyctl did. Prints what the tests read of its output. */
export function recordedFlyctl(url: string, token: string) {
  const call = async (method: string, path: string, body?: object, nonce?: string) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'user-agent': 'flyctl/test',
      ...(nonce && { 'fly-machine-lease-nonce': nonce }),
    }
    const sent = body && { body: JSON.stringify(body) }
    const answer = await fetch(url + path, { method, headers, ...sent })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text === '' ? null : JSON.parse(text)
  }
  const ask = async (query: string, variables: object): Promise<any> => {
    const { data, errors } = await call('POST', '/graphql', { query, variables })
    if (!data) throw new Error(JSON.stringify(errors))
    return data
  }
  const machinesOf = (app: string): Promise<Machine[]> => call('GET', `/v1/apps/${app}/machines`)

  /** From the newest release, whatever became of it; else it is made from the machines. */
  const definitionOf = async (app: string): Promise<Record<string, unknown> | null> => {
    const answer = await ask(currentConfig, { appName: app })
    return answer.app.currentReleaseUnprocessed?.configDefinition ?? null
  }
  const releasesOf = async (app: string, limit: number, more = {}): Promise<Release[]> =>
    (await ask(releases, { appName: app, limit, ...more })).app.releases.nodes
  const lease = async (path: string, ttl: number): Promise<string> =>
    (await call('POST', `${path}/lease?ttl=${ttl}`)).data.nonce

  const commands: Record<string, (app: string, words: string[]) => Promise<string>> = {
    'config show': async (app) => JSON.stringify(await definitionOf(app), null, 2),

    async releases(app) {
      const rows = (await releasesOf(app, 25)).map(
        ({ version, status }) => `v${version} │ ${status}`,
      )
      return rows.join('\n')
    },

    async status(app) {
      await ask(compact, { appName: app })
      const machines = await machinesOf(app)
      const { app: found } = await ask(currentVersion, { appName: app })
      return JSON.stringify({ Version: found.currentRelease?.version ?? 0, Machines: machines })
    },

    /** `internal/command/secrets/list.go` › computeSecretStatus. */
    async 'secrets list'(app) {
      const { secrets } = (await call('GET', `/v1/apps/${app}/secrets`)) as { secrets: Secret[] }
      const machines = await machinesOf(app)
      const made = (await call('GET', `/api/v1/apps/${app}/releases?limit=20`)).releases as {
        version: number
        created_at: string
      }[]
      return secrets
        .map(({ name, digest, updated_at }) => {
          const have = machines.filter(({ config }) => {
            const version = config?.metadata?.['fly_release_version']
            const release = made.find((each) => `${each.version}` === version)
            return release && Date.parse(updated_at) <= Date.parse(release.created_at)
          })
          if (have.length === 0) return `${name} │ ${digest} │ Staged`
          return `${name} │ ${digest} │ ${have.length === machines.length ? 'Deployed' : 'Partial'}`
        })
        .join('\n')
    },

    /** `internal/command/scale/count_machines.go`, for one group in one region. */
    async 'scale count'(app, [words = '']) {
      const definition = await definitionOf(app)
      const machines = await machinesOf(app)
      const [release] = await releasesOf(app, 1, { status: 'complete' })
      if (!release)
        throw new Error(
          'this app has no complete releases. Run `fly deploy` to create one and rerun this command',
        )
      await call('GET', `/v1/apps/${app}/volumes`)
      const leased = await Promise.all(
        machines.map(async ({ id }) => {
          const path = `/v1/apps/${app}/machines/${id}`
          return { path, nonce: await lease(path, 120) }
        }),
      )
      for (let missing = Number(words) - machines.length; missing > 0; missing--) {
        const config = machines[0]?.config ?? launched(definition ?? {}, release)
        const region = machines[0]?.region ?? definition?.['primary_region']
        await call('POST', `/v1/apps/${app}/machines`, { config, region, skip_secrets: false })
      }
      for (const { path, nonce } of leased.slice(Number(words)))
        await call('DELETE', `${path}?kill=true`, undefined, nonce)
      await ask(egress, { appName: app })
      for (const { path, nonce } of leased)
        await call('DELETE', `${path}/lease`, undefined, nonce).catch(() => null)
      return 'Executing scale plan'
    },

    /** `fly deploy --image` without a fly.toml. */
    async 'deploy --image'(app, [ref = '']) {
      const definition = (await definitionOf(app)) ?? {}
      await call('GET', `/v1/apps/${app}`)
      await call('GET', '/api/v1/organizations/personal')
      const build = { app_name: app, builder_type: 'depot.dev' }
      const { id: build_id } = await call('POST', '/api/v1/builds', build)
      await ask(image, { appName: app, imageRef: ref })
      await call('POST', '/api/v1/builds/finish', { build_id, app_name: app, status: 'completed' })

      const machines = await machinesOf(app)
      const asked = { app_name: app, build_id, definition, image: ref, strategy: 'ROLLING' }
      const { release } = await call('POST', '/api/v1/releases', asked)
      await ask(egress, { appName: app })
      const status = (word: string) =>
        call('PATCH', `/api/v1/releases/${release.id}`, { status: word, metadata: null })
      await status('running')
      for (const { id, config, region } of machines) {
        const path = `/v1/apps/${app}/machines/${id}`
        const nonce = await lease(path, 13)
        const fresh = launched(definition, { ...release, imageRef: ref })
        const metadata = { ...config?.metadata, ...fresh.metadata }
        await call('POST', path, { config: { ...config, ...fresh, metadata }, region }, nonce)
        await call('GET', `${path}/wait?state=started&timeout=60`)
        await call('GET', path)
        await call('DELETE', `${path}/lease`, undefined, nonce)
      }
      await status('complete')
      return 'Visit your newly deployed app'
    },
  }

  return {
    run: (command: string): Promise<string> => {
      const [, words = '', app = ''] = /^(.+?) -a (\S+)/.exec(command) ?? []
      const name = Object.keys(commands).find((each) => words.startsWith(each))
      if (!name) throw new Error(`${command} was not recorded`)
      return commands[name]!(app, words.slice(name.length).trim().split(' '))
    },
  }
}

/** The config of a machine from a release. The translation is held by `conformance/flytoml`. */
function launched(definition: Record<string, unknown>, release: Release): MachineConfig {
  const text = JSON.stringify(definition)
  const { groups } = readFlyToml(
    text,
    () => null,
    () => {},
    'fly.json',
  )
  const [config = {}] = groups.values()
  const marks = { fly_release_id: release.id, fly_release_version: `${release.version}` }
  return { ...config, image: release.imageRef, metadata: { ...config.metadata, ...marks } }
}
