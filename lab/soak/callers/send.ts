import { Agent, request } from 'node:http'
import { proxyAddress, type World } from './world.ts'
import type { Person, Proof } from './rights.ts'

/** `status` 0: no answer, as of a gateway that was killed. */
export type Answer = { status: number; code: string; text: string }

/** Sends requests from addresses of loopback, as callers and proxies at several places do. */
export class Sender {
  readonly #world: World
  readonly #agents = new Map<string, Agent>()
  readonly #jwts = new Map<string, Promise<string>>()
  #guesses = 0

  constructor(world: World) {
    this.#world = world
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy()
  }

  /** `onText`: gets the answer as it comes. */
  async send(
    { method, path, body, headers = {} }: Sent,
    { person, proof }: { person: Person; proof: Proof },
    { timeoutMs = 30_000 }: { timeoutMs?: number } = {},
  ): Promise<Answer> {
    const evidence = await this.#evidence(person, proof)
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const gone = (text = '') => resolve({ status: 0, code: '', text })
    const asked = request(
      {
        host: '127.0.0.1',
        port: this.#world.port,
        method,
        path,
        localAddress: evidence.from,
        agent: this.#agent(evidence.from),
        headers: { ...headers, ...evidence.headers },
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part) => (text += String(part)))
        const status = response.statusCode ?? 0
        response.on('end', () => resolve({ status, code: codeIn(status, text), text }))
        // A log that is cut, and one that goes on for too long, are answers too.
        response.on('error', () =>
          status < 300 && text !== '' ? resolve({ status, code: '', text }) : gone(text),
        )
      },
    )
    asked.on('error', () => gone())
    if (body === undefined) asked.end()
    else asked.end(body instanceof Uint8Array ? body : JSON.stringify(body))
    return promise
  }

  #agent(from: string): Agent {
    const known = this.#agents.get(from)
    if (known) return known
    const agent = new Agent({ keepAlive: true, maxSockets: 20 })
    this.#agents.set(from, agent)
    return agent
  }

  async #evidence(
    person: Person,
    proof: Proof,
  ): Promise<{ from: string; headers: Record<string, string> }> {
    if (proof.by === 'proxy') {
      const login = person.name.replace('tailscale-user:', '')
      const from = proof.isTrusted ? proxyAddress : '127.0.0.98'
      return { from, headers: { 'tailscale-user-login': login } }
    }
    if (proof.by === 'nothing') {
      // Each from an address of its own: the gateway slows those who guess.
      const n = this.#guesses++
      const from = `127.1.${Math.floor(n / 250) % 250}.${1 + (n % 250)}`
      return { from, headers: { authorization: `Bearer guess-${n}` } }
    }
    const text = proof.by === 'secret' ? proof.text : await this.#jwt(person, proof.fault)
    return { from: '127.0.0.1', headers: { authorization: `Bearer ${text}` } }
  }

  #jwt(person: Person, fault: 'expired' | 'audience' | null): Promise<string> {
    const key = `${person.id} ${fault}`
    const known = this.#jwts.get(key)
    if (known) return known
    const now = Math.floor(Date.now() / 1000)
    const past = { iat: now - 900, nbf: now - 900, exp: now - 300 }
    const made = this.#world.issuer.sign({
      sub: person.id,
      aud: fault === 'audience' ? 'somebody-else' : soakAud,
      ...(fault === 'expired' ? past : { exp: person.expiresAt / 1000 }),
    })
    this.#jwts.set(key, made)
    return made
  }
}

export const soakAud = 'the-callers-soak'
type Sent = {
  method: string
  path: string
  body?: object | Uint8Array<ArrayBuffer>
  headers?: Record<string, string>
}

const codeIn = (status: number, text: string): string =>
  status < 400
    ? ''
    : (/"code":"([\w-]+)"/.exec(text)?.[1] ?? /^refused: ([\w-]+)/.exec(text)?.[1] ?? '')
