import type { Agent } from 'undici'
import { errorCode } from '#api/error-code.ts'
import { apiHost } from '#api/registries/address.ts'
import type { LoginVerdict } from '#api/registries/registry.ts'
import {
  basicOf,
  challengeOf,
  type Login,
  realmOf,
  tokenIn,
  tokenRequest,
} from './token-request.ts'
import { speaksPlainHttp } from './plain-http.ts'
import { type Answer, Transport } from './transport.ts'

/** `image`: a manifest that the login must be able to read. */
export type LoginQuestion = {
  host: string
  login: Login
  image: { repository: string; reference: string } | null
}
export type LoginAnswer = { verdict: LoginVerdict; detail: string }

/** `plainHttp`: hosts that speak plain HTTP, beside those on loopback. */
type Deps = { agent: Agent; plainHttp: readonly string[] }

/** One try after the first: a person waits. */
const retries = 1
const maxWords = 200

/**
 * Logs in at a registry as `docker login` does: asks `/v2/`, gets a token where the registry wants
 * one, and asks again with it. Then asks for the image. Never throws for what the registry does.
 */
export async function checkLogin(
  question: LoginQuestion,
  { agent, plainHttp }: Deps,
  signal: AbortSignal,
): Promise<LoginAnswer> {
  const { host } = question
  const base = `${speaksPlainHttp(host, plainHttp) ? 'http' : 'https'}://${apiHost(host)}/v2/`
  try {
    return await new Check(question, { base, agent }).run(signal)
  } catch (error) {
    if (signal.aborted)
      return { verdict: 'unreachable', detail: `${host} has not answered in time.` }
    return failureOf(host, error)
  }
}

class Check {
  readonly #question: LoginQuestion
  readonly #base: string
  readonly #agent: Agent

  constructor(question: LoginQuestion, { base, agent }: { base: string; agent: Agent }) {
    this.#question = question
    this.#base = base
    this.#agent = agent
  }

  async run(signal: AbortSignal): Promise<LoginAnswer> {
    const { host, login, image } = this.#question
    const first = await this.#ask('', null, signal)
    if (![200, 401].includes(first.status))
      return {
        verdict: 'not-a-registry',
        detail: `${host} answers ${first.status} at /v2/, so it is no registry, or not at this address.`,
      }

    const challenge = String(first.headers['www-authenticate'] ?? '')
    const isBearer = first.status === 401 && /^Bearer /i.test(challenge)
    const authorization = isBearer
      ? await this.#token(challenge, null, signal)
      : { header: basicOf(login) }
    if ('verdict' in authorization) return authorization
    const second = await this.#ask('', authorization.header, signal)
    if (second.status !== 200) return this.#wrongPassword(second)
    if (image) return this.#askForImage(image, isBearer ? challenge : null, signal)
    const detail =
      first.status === 401
        ? `${host} accepts the login.`
        : `${host} answers without a login, so it does not say whether this one is right. Name an image to be sure.`
    return { verdict: 'works', detail }
  }

  async #askForImage(
    { repository, reference }: { repository: string; reference: string },
    challenge: string | null,
    signal: AbortSignal,
  ): Promise<LoginAnswer> {
    const { host, login } = this.#question
    const authorization =
      challenge === null
        ? { header: basicOf(login) }
        : await this.#token(challenge, `repository:${repository}:pull`, signal)
    if ('verdict' in authorization) return authorization

    const path = `${repository}/manifests/${reference}`
    const { status } = await this.#ask(path, authorization.header, signal, 'HEAD')
    const name = `${host}/${repository}`
    const separator = reference.includes(':') ? '@' : ':'
    if (status === 200)
      return { verdict: 'works', detail: `${host} accepts the login, and it can read ${name}.` }
    if (status === 404)
      return {
        verdict: 'no-such-image',
        detail: `${host} accepts the login, and shows it no image ${name}${separator}${reference}: there is none, or the login may not see it.`,
      }
    return {
      verdict: 'no-right',
      detail: `${host} accepts the login, but it may not read ${name} (${status}). Give it the right to pull there.`,
    }
  }

  /** The header with a token. `scope` null: only the login is tried. */
  async #token(
    challenge: string,
    scope: string | null,
    signal: AbortSignal,
  ): Promise<{ header: string } | LoginAnswer> {
    const { host } = this.#question
    const asked = challengeOf(challenge)
    const realm = realmOf(asked, this.#base)
    if (!realm)
      return {
        verdict: 'not-a-registry',
        detail: `${host} sends the login to a token server that is none, or without TLS. The gateway did not send it.`,
      }
    const { service } = asked
    const wanted = { ...(service && { service }), ...(scope && { scope }) }
    const answer = await this.#askTokenServer(realm, wanted, signal)
    if ('verdict' in answer) return answer
    const token = answer.status < 300 ? tokenIn(answer.bytes) : null
    if (token) return { header: `Bearer ${token}` }
    if (![401, 403].includes(answer.status))
      return {
        verdict: 'not-a-registry',
        detail: `The token server of ${host}, ${realm.host}, answers ${answer.status}${wordsOf(answer)}, and no token. This is not about the password: ask who runs the registry.`,
      }
    if (scope === null) return this.#wrongPassword(answer)
    const detail = `${host} accepts the login, but gives it no token for ${scope.split(':')[1]} (${answer.status}${wordsOf(answer)}). Give it the right to pull there.`
    return { verdict: 'no-right', detail }
  }

  /** Its failures name it: it may be another host than the registry. */
  async #askTokenServer(
    realm: URL,
    wanted: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Answer | LoginAnswer> {
    const { host, login } = this.#question
    const request = tokenRequest(realm, wanted, login)
    try {
      return await new Transport(realm.host, this.#agent, retries).send(request, signal)
    } catch (error) {
      signal.throwIfAborted()
      const { verdict, detail } = failureOf(realm.host, error)
      return { verdict, detail: `${host} wants logins sent to ${realm.host}. ${detail}` }
    }
  }

  #wrongPassword(answer: Answer): LoginAnswer {
    const { host, login } = this.#question
    const detail = `${host} does not accept the user name ${login.username} with this password (${answer.status}${wordsOf(answer)}).`
    return { verdict: 'wrong-password', detail }
  }

  #ask(
    path: string,
    authorization: string | null,
    signal: AbortSignal,
    method: 'GET' | 'HEAD' = 'GET',
  ): Promise<Answer> {
    const request = { method, url: this.#base + path, authorization, content: null }
    return new Transport(this.#question.host, this.#agent, retries).send(request, signal)
  }
}

/** What a registry says in its own words, as `, "denied"`. */
function wordsOf({ bytes }: Answer): string {
  const text = bytes.toString().slice(0, 10_000)
  const [, words] = /"(?:message|details)"\s*:\s*"([^"]{1,500})"/.exec(text) ?? []
  return words ? `, "${words.slice(0, maxWords)}"` : ''
}

/** Errors of TLS. Node's codes of certificates are those of OpenSSL. */
const tlsCodes =
  /^(?:CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|EPROTO)/

function failureOf(host: string, error: unknown): LoginAnswer {
  const { code, message } = rootOf(error)
  if (code === 'registry-address-forbidden') return { verdict: 'private-address', detail: message }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return {
      verdict: 'no-such-host',
      detail: `There is no host ${host}: its name was not found (${code}).`,
    }
  if (tlsCodes.test(code))
    return {
      verdict: 'tls',
      detail: `The connection to ${host} is not safe, so the login was not sent: ${message.slice(0, maxWords)} (${code}). A registry without TLS is named in TARMAC_PLAIN_HTTP; an authority of your own is installed on the gateway’s machine.`,
    }
  if (code === 'registry-unavailable') return { verdict: 'unreachable', detail: message }
  return { verdict: 'unreachable', detail: `${host} cannot be asked: ${message.slice(0, 300)}` }
}

/** The first cause with a code of Node, or the error itself. */
function rootOf(error: unknown): { code: string; message: string } {
  let found = { code: '', message: String(error) }
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    found = { code: errorCode(at) ?? found.code, message: at.message || found.message }
  return found
}
