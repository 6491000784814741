import { createHmac } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import type { BuildSecretsAnswer } from '#api/runtime/secrets.ts'
import { maxSecretBytes, SecretName, secretNameRule, type SecretFacts } from '#api/secret.ts'
import type { NewDeployment } from '../deployments/store.ts'
import type { SealedSecret, SecretOwner, SecretStore } from '../deployments/secret-store.ts'
import { byteOrder } from '../go/byte-order.ts'
import { sealedExtraBytes, type SealingKeys } from './sealing.ts'

/** Secret values by name, opened for one build. */
export type Secrets = ReadonlyMap<string, Buffer>

const secretLimits = { valueBytes: maxSecretBytes, count: 100, allBytes: 64 * 1024 }

/** Seals secrets with the operator's key and opens them for builds. Nothing else reads a value. */
export class Vault {
  readonly #store: SecretStore
  readonly #keys: SealingKeys

  constructor(store: SecretStore, keys: SealingKeys) {
    this.#store = store
    this.#keys = keys
  }

  async list(app: string): Promise<SecretFacts[]> {
    this.#keys.assertKey()
    const secrets = await this.#store.secretsOf(`app:${app}`)
    return secrets.map(({ name, createdAt, updatedAt }) => ({ name, createdAt, updatedAt }))
  }

  async put(app: string, name: string, value: Uint8Array): Promise<SecretFacts> {
    const others = (await this.#store.secretsOf(`app:${app}`)).filter(
      (secret) => secret.name !== name,
    )
    checkLimits([...others.map(({ sealed }) => sealed.length - sealedExtraBytes), value.length])
    return this.#store.putSecret(`app:${app}`, this.#seal(`app:${app}`, name, value))
  }

  /** Sets and removes several at once: all, or none. */
  async change(
    app: string,
    values: ReadonlyMap<string, string | null>,
  ): Promise<BuildSecretsAnswer> {
    const owner = `app:${app}` as const
    const before = await this.#store.secretsOf(owner)
    const others = before.filter(({ name }) => !values.has(name))
    const put = [...values].flatMap(([name, value]) =>
      value === null ? [] : [{ name: checkedName(name), value: Buffer.from(value) }],
    )
    checkLimits([
      ...others.map(({ sealed }) => sealed.length - sealedExtraBytes),
      ...put.map(({ value }) => value.length),
    ])
    const sealed = put.map(({ name, value }) => this.#seal(owner, name, value))
    const names = [...values].flatMap(([name, value]) =>
      value === null ? [checkedName(name)] : [],
    )
    const old = new Map(before.map((secret) => [secret.name, this.#openIfPossible(owner, secret)]))
    const removed = await this.#store.changeSecrets(owner, sealed, names)

    const of = (is: (name: string, value: Buffer) => boolean) =>
      put.flatMap(({ name, value }) => (is(name, value) ? [name] : []))
    const isSame = (name: string, value: Buffer) => old.get(name)?.equals(value) === true
    return {
      app,
      added: of((name) => !old.has(name)),
      changed: of((name, value) => old.has(name) && !isSame(name, value)),
      same: of(isSame),
      removed,
      absent: names.filter((name) => !removed.includes(name)),
    }
  }

  async remove(app: string, name: string): Promise<void> {
    this.#keys.assertKey()
    if (!(await this.#store.removeSecret(`app:${app}`, checkedName(name))))
      throw new Problem(
        'secret-not-found',
        `The app ${app} has no secret ${name}. To list them: tarmac secrets list ${app}`,
      )
  }

  /** Seals the secrets of a deployment, to be stored with its record. */
  sealFor(
    id: string,
    secrets: ReadonlyMap<string, Uint8Array>,
  ): Pick<NewDeployment, 'secrets' | 'secretsFingerprint' | 'oldSecretsFingerprints'> {
    if (secrets.size === 0) return {}
    checkLimits([...secrets.values()].map(({ length }) => length))
    const [secretsFingerprint, ...old] = this.#keys.hashes((key) => secretsHash(secrets, key))
    return {
      secrets: [...secrets].map(([name, value]) => this.#seal(`deployment:${id}`, name, value)),
      secretsFingerprint,
      oldSecretsFingerprints: old,
    }
  }

  /** Shows whether two sets of secrets are the same, and nothing else. Null: there are none. */
  fingerprintOf(secrets: ReadonlyMap<string, Uint8Array>): string | null {
    if (secrets.size === 0) return null
    return this.#keys.hashes((key) => secretsHash(secrets, key))[0] ?? null
  }

  /** Opens the app's secrets and those of the deployment. The deployment's win. */
  async open({ id, app }: { id: string; app: string }): Promise<Secrets> {
    const opened = new Map<string, Buffer>()
    for (const owner of [`app:${app}`, `deployment:${id}`] as const)
      for (const secret of await this.#store.secretsOf(owner))
        opened.set(secret.name, this.#open(owner, secret))
    return opened
  }

  #seal(owner: SecretOwner, name: string, value: Uint8Array): SealedSecret {
    return { name, ...this.#keys.seal({ owner, name: checkedName(name) }, value) }
  }

  /** Null: with this key it cannot be opened. */
  #openIfPossible(owner: SecretOwner, secret: SealedSecret): Buffer | null {
    try {
      return this.#open(owner, secret)
    } catch {
      return null
    }
  }

  #open(owner: SecretOwner, { name, ...sealed }: SealedSecret): Buffer {
    return this.#keys.open({ owner, name }, sealed)
  }
}

/** Changes with any name or value. Without the key it reveals nothing about them. */
export function secretsHash(
  values: ReadonlyMap<string, string | Uint8Array>,
  key: Uint8Array,
): string {
  const pairs = [...values].map(([name, value]): [string, string] => [
    name,
    Buffer.from(value).toString('base64'),
  ])
  const sorted = pairs.toSorted(([a], [b]) => byteOrder(a, b))
  return createHmac('sha256', key).update(JSON.stringify(sorted)).digest('hex')
}

function checkedName(name: string): string {
  if (SecretName.safeParse(name).success) return name
  throw new Problem('secret-invalid', secretNameRule)
}

function checkLimits(sizes: number[]): void {
  const { valueBytes, count, allBytes } = secretLimits
  const refuse = (detail: string) =>
    new Problem('secret-invalid', detail, { facts: { limits: secretLimits } })
  if (sizes.includes(0))
    throw refuse('The value is empty. Send it as the body, or as the field’s value.')
  if (sizes.some((size) => size > valueBytes))
    throw refuse(`A secret has at most ${valueBytes / 1024} KiB.`)
  if (sizes.length > count)
    throw refuse(`At most ${count} secrets are allowed. Delete the ones that are not needed.`)
  if (sizes.reduce((sum, size) => sum + size, 0) > allBytes)
    throw refuse(`All secrets together have at most ${allBytes / 1024} KiB.`)
}
