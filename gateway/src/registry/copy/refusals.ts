import { errorCode, errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'

/** What to say when a registry refuses or fails. */
export type Refusals = {
  /** It does not let the gateway do this: 401 or 403. */
  refused(status: number, said: string): Problem
  /** It answers too many requests with 429. */
  limited(said: string, retryAfterS: number | null): Problem
  unavailable(why: string): Problem
  /** The connection failed. */
  failed(cause: unknown): Problem
}

type Asked = { host: string; repository: string; user: string | null }

/** For a registry of others. */
export function foreignRefusals({ host, repository, user }: Asked): Refusals {
  const facts = { registry: host }
  const add = `tarmac registries add ${host} --username NAME`
  return {
    refused(status, said) {
      const answer = answered(status, said)
      const detail =
        user === null
          ? `${host} does not give ${repository} without a login (${answer}). It is private, or it does not exist: the registry does not say which. Check its name. For a private one, store a login: ${add}`
          : `${host} refuses the login of ${user || 'the stored token'} for ${repository} (${answer}). The login is wrong, may not read this, or it does not exist. Check the image’s name. To see the stored logins: tarmac registries list. To replace a password: tarmac registries rotate LOGIN`
      return new Problem('image-forbidden', detail, {
        facts: { ...facts, registryStatus: status, withLogin: user !== null },
      })
    },
    limited(said, retryAfterS) {
      const next =
        user === null
          ? `Without a login it allows few. Store a login: ${add}. Or deploy again later`
          : 'Deploy again later'
      const when = retryAfterS === null ? '' : `, in ${retryAfterS} s`
      return new Problem(
        'registry-unavailable',
        `${host} limits how often it may be asked (${answered(429, said)}). ${next}${when}.`,
        { facts: { ...facts, registryStatus: 429, ...(retryAfterS !== null && { retryAfterS }) } },
      )
    },
    unavailable: (why) => unavailable(host, why),
    failed: (cause) => (isUnknownHost(cause, host) ? noSuchHost(host) : broken(host, cause)),
  }
}

/** For the registry of the apps' own images. Its login is the gateway's. */
export function ownRefusals(host: string): Refusals {
  return {
    refused: (status, said) =>
      new Problem(
        'registry-denied',
        `The registry ${host} refused the gateway's login (${answered(status, said)}). Check the gateway's token.`,
        { facts: { registryStatus: status } },
      ),
    limited: (said) => unavailable(host, `it answered ${answered(429, said)}`),
    unavailable: (why) => unavailable(host, why),
    failed: (cause) => broken(host, cause),
  }
}

const answered = (status: number, said: string) => (said ? `${status}: ${said}` : `${status}`)

const unavailable = (host: string, why: string, cause?: unknown) =>
  new Problem('registry-unavailable', `Registry ${host}: ${why}. Try again later.`, {
    cause,
    facts: { registry: host },
  })

const noSuchHost = (host: string) =>
  new Problem(
    'image-not-found',
    `There is no host ${host}: its name was not found (ENOTFOUND). Check the name of the image.`,
    { facts: { registry: host } },
  )

/**
 * Whether DNS says that a name does not exist, which a later try does not change. Nobody writes the
 * host of Docker Hub, so there the gateway's own DNS is in doubt.
 */
function isUnknownHost(cause: unknown, host: string): boolean {
  for (let at = cause; at instanceof Error; at = at.cause)
    if (errorCode(at) === 'ENOTFOUND' && 'hostname' in at)
      return `${host}:`.startsWith(`${String(at.hostname)}:`)
  return false
}

/** What went wrong with a connection. A Problem of our own is the reason, such as a private address. */
function broken(host: string, cause: unknown): Problem {
  for (let at = cause; at instanceof Error; at = at.cause) if (at instanceof Problem) return at
  return unavailable(host, `the connection failed (${errorMessage(cause)})`, cause)
}
