import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readConfig } from '../../../gateway/src/config.ts'
import { ownMachine } from '../../../gateway/src/host/own-machine.ts'

const id = '0e286039f42e86'
const env = { FLY_MACHINE_ID: id, FLY_APP_NAME: 'tarmac', FLY_VM_MEMORY_MB: '8192' }
const { machine } = readConfig(env)

test('a machine of Fly bears its id as host name and has a socket of Fly', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-own-'))
  const server = createServer()
  try {
    const socket = join(dir, 'api')
    const file = join(dir, 'file')
    await writeFile(file, '')
    await once(server.listen(socket), 'listening')

    const found = await ownMachine(machine, { host: id, socket })
    expect(found).toMatchObject({ id, app: 'tarmac', memoryMb: 8192 })
    expect(await ownMachine(machine, { host: 'laptop', socket })).toBeNull()
    expect(await ownMachine(machine, { host: id, socket: file })).toBeNull()
    expect(await ownMachine(machine, { host: id, socket: join(dir, 'none') })).toBeNull()
    expect(await ownMachine(readConfig({}).machine, { host: '', socket })).toBeNull()
  } finally {
    server.close()
    await rm(dir, { recursive: true })
  }
})

test('FLY_* in the environment alone make no machine of this host', async () => {
  expect(await ownMachine(machine)).toBeNull()
})
