import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { portOf } from '../../../gateway/src/host/port-of.ts'

const basic = (user: string, secret: string) => `Basic ${btoa(`${user}:${secret}`)}`

type Kind = {
  /** The password of the user `bot`. */
  password?: string
  /** `bearer`: with a token server, as Docker Hub and GHCR. `open`: without any login. */
  auth?: 'bearer' | 'basic' | 'open'
  /** Repositories that `bot` may read. Each has the image `1`. */
  readable?: string[]
  /** What the token server says to a wrong login; `{password}` is what was sent. */
  words?: string
}

/**
 * A registry on loopback that speaks the distribution protocol's login (distribution/spec and
 * docs/spec/auth/token.md of the registries' own project). `asked` has each request.
 */
export async function startRegistry(kind: Kind = {}) {
  const state = { password: 'right-password', auth: 'bearer', readable: ['acme/web'], ...kind }
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${portOf(server)}`

  function answer({ url = '', headers }: IncomingMessage, response: ServerResponse): void {
    const right = basic('bot', state.password)
    const { pathname, searchParams } = new URL(url, `http://${host}`)
    const end = (status: number, body: object = {}) =>
      void response.writeHead(status).end(JSON.stringify(body))

    if (pathname === '/token') {
      const sent = atob(String(headers.authorization).replace('Basic ', ''))
      const message = (kind.words ?? 'denied').replace('{password}', sent)
      if (headers.authorization !== right) return end(403, { errors: [{ message }] })
      return end(200, { token: `t ${searchParams.get('scope') ?? 'none'}` })
    }
    const { authorization = '' } = headers
    const hasToken = authorization.startsWith('Bearer t ')
    const isIn = state.auth === 'open' || authorization === right || hasToken
    if (!isIn) {
      const challenge =
        state.auth === 'basic'
          ? 'Basic realm="lab"'
          : `Bearer realm="http://${host}/token",service="lab"`
      response.setHeader('www-authenticate', challenge)
      return end(401)
    }
    if (pathname === '/v2/') return end(200)
    const [, repository = '', reference] = /^\/v2\/(.+)\/manifests\/(.+)$/.exec(pathname) ?? []
    const isScoped = !hasToken || authorization.includes(`repository:${repository}:pull`)
    if (!state.readable.includes(repository) || !isScoped) return end(403)
    end(reference === '1' ? 200 : 404)
  }

  return {
    host,
    asked,
    state,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
