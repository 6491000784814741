import { expect, test } from 'vitest'
import { NewToken } from '../../../api/callers/token.ts'
import { openCallers } from '../../../gateway/src/callers/open-callers.ts'
import { operator } from '../../../gateway/src/callers/principal.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

test('a gateway that stores tokens and needs none says so at its start', async () => {
  await using store = openSqliteStore(':memory:')
  const said: string[] = []
  const log = Object.assign(openLog('silent'), { warn: (text: string) => void said.push(text) })
  const parts = { store, fly: { orgMachines: async () => [] }, log }
  const open = (tokens: string[]) =>
    openCallers(
      { oidcRules: [], trustedProxies: [], deployer: { org: 'acme' }, secrets: { tokens } },
      parts,
    )
  await using first = await open([])
  expect([first.authenticate, said]).toEqual([null, []])
  await first.tokens.create(
    { ...operator, isOpen: true, address: '127.0.0.1' },
    NewToken.parse({ name: 'ci' }),
  )
  await using _ = await open([])
  expect(said).toEqual([expect.stringContaining('every program on this computer is the operator')])
  await using closed = await open(['a-token-of-the-operator'])
  expect([closed.authenticate === null, said.length]).toEqual([false, 1])
})
