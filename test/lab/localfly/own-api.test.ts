import { mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
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
