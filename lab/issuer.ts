/**
 * A small OIDC issuer: it signs tokens, and serves discovery and its public keys (OpenID Connect
 * Discovery 1.0). It stands for GitHub, GitLab and Fly, and signs for real.
 */
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'

type Claims = Record<string, unknown>
type KeyPair = { id: string; alg: string; secret: CryptoKey; shown: JWK }

export class Issuer {
  /** The newest key signs. */
  readonly keys: KeyPair[] = []
  /** Its address, once it is known. */
  url = ''
  /** The requests that it got. */
  readonly asked: string[] = []
  #made = 0

  static async create(alg = 'RS256'): Promise<Issuer> {
    const issuer = new Issuer()
    await issuer.rotate(alg)
    return issuer
  }

  /** A new key signs from now on. The older ones stay, as providers do it, until `forget`. */
  async rotate(alg = 'RS256'): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    const id = `key-${++this.#made}`
    const shown = { ...(await exportJWK(publicKey)), kid: id, alg, use: 'sig' }
    this.keys.unshift({ id, alg, secret: privateKey, shown })
  }

  /** Withdraws all keys but the newest. */
  forget(): void {
    this.keys.length = 1
  }

  /** A token of 10 minutes. Claims that are undefined are left out. */
  sign(claims: Claims, header: Claims = {}): Promise<string> {
    const { id, alg, secret } = this.keys[0]!
    const now = Math.floor(Date.now() / 1000)
    const usual = { iss: this.url, iat: now, nbf: now, exp: now + 600, jti: crypto.randomUUID() }
    return new SignJWT({ ...usual, ...claims })
      .setProtectedHeader({ alg, kid: id, typ: 'JWT', ...header })
      .sign(secret)
  }

  /** Answers below `prefix`. False: the path is not of the issuer. */
  answer(req: IncomingMessage, res: ServerResponse, prefix = ''): boolean {
    const path = (req.url ?? '').slice(prefix.length)
    const body =
      path === '/.well-known/openid-configuration'
        ? { issuer: this.url, jwks_uri: `${this.url}/.well-known/jwks` }
        : path === '/.well-known/jwks'
          ? { keys: this.keys.map(({ shown }) => shown) }
          : null
    if (body === null || !(req.url ?? '').startsWith(prefix)) return false
    this.asked.push(path)
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    return true
  }
}

/** Serves an issuer of its own on loopback. `around`: what it does instead, as a bad day. */
export async function startIssuer(
  around: (handler: RequestListener) => RequestListener = (handler) => handler,
) {
  const issuer = await Issuer.create()
  const handler: RequestListener = (req, res) => {
    if (!issuer.answer(req, res)) res.writeHead(404).end()
  }
  const server = createServer(around(handler)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  issuer.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.assign(issuer, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  })
}
