import { mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { decodeJwt } from 'jose'
import { flyToken } from '../../../client/src/identity/request-token.ts'
import { Issuer } from '../../../lab/issuer.ts'
import { OwnApi } from '../../../lab/localfly/own-api.ts'
import { FlyState, type Machine } from '../../../lab/localfly/state.ts'

const machine = { id: '0e286039f42e86', own: { app: 'shop' } } as Machine

test('a machine may suspend itself at its own socket, and nothing else', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-own-api-'))
  const suspended: string[] = []
  using api = new OwnApi({ state: new FlyState(dir), suspend: ({ id }) => suspended.push(id) })
  try {
    const socketPath = join(await api.open(machine), 'api')
    const ask = async (path: string) => {
      const call = request({ socketPath, path, method: 'POST' }).end()
      const [answer]: IncomingMessage[] = await once(call, 'response')
      answer!.resume()
      return answer!.statusCode
    }
    const own = `/v1/apps/shop/machines/${machine.id}`
    expect(await ask(`${own}/suspend`)).toBe(200)
    expect(await ask(`${own}/stop`)).toBe(403)
    expect(await ask('/v1/apps/shop/machines/another/suspend')).toBe(403)
    expect(await ask('/v1/apps/other/machines/another/suspend')).toBe(403)
    expect(await ask('/v1/tokens/oidc')).toBe(404)
    expect(suspended).toEqual([machine.id])
  } finally {
    await rm(dir, { recursive: true })
  }
})

test('a machine gets an OIDC token that names itself, for the audience that it asks for', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-own-api-'))
  const issuer = Object.assign(await Issuer.create(), { url: 'http://127.0.0.1:1/oidc/personal' })
  using api = new OwnApi({ state: new FlyState(dir), suspend: () => {}, issuer })
  try {
    const named = { ...machine, name: 'one', region: 'ams' }
    const socketPath = join(await api.open(named), 'api')
    const token = await flyToken(socketPath, 'http://tarmac.flycast')
    expect(decodeJwt(token)).toMatchObject({
      iss: 'http://127.0.0.1:1/oidc/personal',
      aud: 'http://tarmac.flycast',
      sub: 'personal:shop:one',
      app_name: 'shop',
      org_name: 'personal',
      machine_id: machine.id,
    })
  } finally {
    await rm(dir, { recursive: true })
  }
})
