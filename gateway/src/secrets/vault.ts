import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import type { BuildSecretsAnswer } from '#api/runtime/secrets.ts'
import { maxSecretBytes, SecretName, secretNameRule, type SecretFacts } from '#api/secret.ts'
import type { NewDeployment } from '../deployments/store.ts'
import type { SealedSecret, SecretOwner, SecretStore } from '../deployments/secret-store.ts'
import { byteOrder } from '../go/byte-order.ts'

/** Secret values by name, opened for one build. */
export type Secrets = ReadonlyMap<string, Buffer>

const secretLimits = { valueBytes: maxSecretBytes, count: 100, allBytes: 64 * 1024 }

const cipher = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16

/** Seals secrets with the operator's key and opens them for builds. Nothing else reads a value. */
export class Vault {
  readonly #store: SecretStore
  readonly #key: Uint8Array | null

  /** Without a key, no secret can be stored or opened. */
  constructor(store: SecretStore, key: Uint8Array | null) {
    this.#store = store
    this.#key = key
  }

  async list(app: string): Promise<SecretFacts[]> {
    this.#keyOrProblem()
    const secrets = await this.#store.secretsOf(`app:${app}`)
    return secrets.map(({ name, createdAt, updatedAt }) => ({ name, createdAt, updatedAt }))
  }

  async put(app: string, name: string, value: Uint8Array): Promise<SecretFacts> {
    const others = (await this.#store.secretsOf(`app:${app}`)).filter(
      (secret) => secret.name !== name,
    )
    checkLimits([
      ...others.map(({ sealed }) => sealed.length - nonceBytes - tagBytes),
      value.length,
    ])
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
      ...others.map(({ sealed }) => sealed.length - nonceBytes - tagBytes),
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
    this.#keyOrProblem()
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
  ): Pick<NewDeployment, 'secrets' | 'secretsFingerprint'> {
    if (secrets.size === 0) return {}
    checkLimits([...secrets.values()].map(({ length }) => length))
    return {
      secrets: [...secrets].map(([name, value]) => this.#seal(`deployment:${id}`, name, value)),
      secretsFingerprint: this.fingerprintOf(secrets),
    }
  }

  /** Shows whether two sets of secrets are the same, and nothing else. Null: there are none. */
  fingerprintOf(secrets: ReadonlyMap<string, Uint8Array>): string | null {
    return secrets.size === 0 ? null : secretsHash(secrets, this.#keyOrProblem())
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
    const key = this.#keyOrProblem()
    const nonce = randomBytes(nonceBytes)
    const sealing = createCipheriv(cipher, key, nonce).setAAD(placeOf(owner, checkedName(name)))
    const text = Buffer.concat([sealing.update(value), sealing.final()])
    return { name, keyId: keyIdOf(key), sealed: Buffer.concat([nonce, sealing.getAuthTag(), text]) }
  }

  /** Null: with this key it cannot be opened. */
  #openIfPossible(owner: SecretOwner, secret: SealedSecret): Buffer | null {
    try {
      return this.#open(owner, secret)
    } catch {
      return null
    }
  }

  #open(owner: SecretOwner, { name, keyId, sealed }: SealedSecret): Buffer {
    const key = this.#keyOrProblem()
    if (keyId !== keyIdOf(key))
      throw new Problem(
        'secrets-unavailable',
        `The secret ${name} was encrypted with another key (${keyId}, not ${keyIdOf(key)}). Set TARMAC_SECRETS_KEY to that key, or store the secret again.`,
        { facts: { secret: name } },
      )
    try {
      const opening = createDecipheriv(cipher, key, sealed.subarray(0, nonceBytes), {
        authTagLength: tagBytes,
      })
      opening
        .setAAD(placeOf(owner, name))
        .setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes))
      return Buffer.concat([
        opening.update(sealed.subarray(nonceBytes + tagBytes)),
        opening.final(),
      ])
    } catch (cause) {
      const detail = `The secret ${name} is damaged in the database, although the key is right. Store it again.`
      throw new Problem('secrets-unavailable', detail, { cause, facts: { secret: name } })
    }
  }

  #keyOrProblem(): Uint8Array {
    if (this.#key) return this.#key
    const howTo =
      'Its operator sets TARMAC_SECRETS_KEY to 32 random bytes (openssl rand -base64 32) and starts it again.'
    throw new Problem('secrets-unavailable', `The gateway has no key for secrets. ${howTo}`)
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

/** Authenticated with each value, so that a sealed value opens only for its owner and name. */
const placeOf = (owner: SecretOwner, name: string) => Buffer.from(`${owner}\0${name}`)
const keyIdOf = (key: Uint8Array) =>
  createHmac('sha256', key).update('tarmac key id').digest('hex').slice(0, 12)

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
