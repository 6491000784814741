import type { Deployment } from '#api/deployment.ts'
import { renderFindings } from '#api/doctor/render.ts'
import type { BundleFiles, DoctorReport } from '#api/doctor/report.ts'
import { gatewayStatus } from '../commands/status.ts'
import type { Config } from '../config.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import { recentLines } from '../log.ts'
import { Redactor } from '../secrets/redaction/redactor.ts'
import type { Vault } from '../secrets/vault.ts'
import type { DoctorParts } from './doctor-parts.ts'

const recordsShown = 20
const leastHidden = 8

export type BundleParts = Pick<DoctorParts, 'config' | 'status'> & {
  /** Null: no gateway runs. */
  records: { store: Pick<DeploymentStore, 'status'>; vault: Pick<Vault, 'open'> } | null
}

/**
 * The files of a support bundle: what the gateway found, its settings, its last log lines and the
 * last records. Every known secret, and every text that looks like a token, is redacted.
 */
export async function bundleFiles(parts: BundleParts, report: DoctorReport): Promise<BundleFiles> {
  const { config, status, records } = parts
  const deployments = records ? await records.store.status.newest(recordsShown) : []
  const secrets = records ? await secretsOf(deployments, records.vault) : []
  const redactor = new Redactor([
    ...ownSecrets(config),
    ...secrets,
    ...deployments.flatMap(valuesOf),
  ])

  // Once by value, and once as text, because names of fields can be secret too.
  const json = (value: unknown) =>
    redactor.redact(`${JSON.stringify(redactor.redact(value), null, 2)}\n`)
  return {
    'doctor.json': json(report),
    'doctor.txt': redactor.redact(renderFindings(report.findings)),
    'status.json': json(await gatewayStatus(status)),
    'settings.json': json(withoutSecrets(config)),
    'gateway.log': redactor.redact([...recentLines()]).join('') || 'no lines: no gateway runs\n',
    'deployments.json': json(deployments.map(withoutValues)),
  }
}

function ownSecrets({ secrets }: Config): (string | Uint8Array)[] {
  const keys = [...(secrets.key ? [secrets.key] : []), ...secrets.oldKeys]
  const texts = keys.flatMap((key) => [
    Buffer.from(key).toString('base64'),
    Buffer.from(key).toString('hex'),
  ])
  return [...secrets.tokens, secrets.fly, ...keys, ...texts].filter(({ length }) => length > 0)
}

/** The values of build secrets that the records may quote. A secret that cannot be opened is none. */
async function secretsOf(deployments: Deployment[], vault: Pick<Vault, 'open'>) {
  const apps = new Map(deployments.map(({ id, app }) => [app, { id, app }]))
  const opened = await Promise.all(
    [...apps.values()].map((of) => vault.open(of).catch(() => new Map<string, Buffer>())),
  )
  return opened.flatMap((values) => [...values.values()])
}

/** Of secrets it says only whether they are set. */
function withoutSecrets({ secrets, ...rest }: Config): object {
  const { tokens, key, oldKeys, fly } = secrets
  return {
    ...rest,
    secrets: {
      tokens: `${tokens.length} set`,
      key: isSet(key !== null),
      oldKeys: `${oldKeys.length} set`,
      fly: isSet(fly !== ''),
    },
  }
}
const isSet = (set: boolean) => (set ? 'set' : 'not set')

/** Nothing secret belongs into variables, and people put it there. */
function withoutValues({ options, ...record }: Deployment): object {
  const { env, build } = options
  return { ...record, options: { ...options, env: hidden(env), build: hidden(build) } }
}

/** A failed step may have printed them. A short one, such as `true`, is in other words too. */
const valuesOf = ({ options: { env, build } }: Deployment): string[] =>
  [...Object.values(env), ...Object.values(build)].filter(({ length }) => length >= leastHidden)

const hidden = (values: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(values).map(([name, { length }]) => [name, `${length} letters`]),
  )
