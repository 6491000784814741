import { expect, test } from 'vitest'
import type { Owner } from '../../api/owners/owner.ts'
import { readCommandLine } from '../../client/src/command-line.ts'
import { Gateway } from '../../client/src/gateway.ts'
import { owners } from '../../client/src/owners/owners.ts'
import { endText, ownerFacts, shortImage } from '../../client/src/owners/render-owners.ts'
import type { Printer } from '../../client/src/print.ts'
import { startOwners } from '../gateway/owners/start-owners.ts'
import { token } from '../gateway/http/start-http.ts'

const read = (...args: string[]) => {
  const command = readCommandLine(args, { TARMAC_GATEWAY: 'http://tarmac:8080', TARMAC_TOKEN: 't' })
  if (command.name !== 'owner') throw new Error(command.name)
  return command.request
}

test(
  'owners are listed, shown, stopped, moved to another release and destroyed by the client',
  { timeout: 60_000 },
  async () => {
    await using gateway = await startOwners()
    const { deployOwner, url, list } = gateway
    await deployOwner('ada')
    const tarmac = async (...args: string[]) => {
      const out: string[] = []
      const printer = {
        result: (_facts: object, lines: string[], code = 0) => (out.push(...lines), code),
        detached: ({ id }: { id: string }) => (out.push(id), 0),
        accepted: () => {},
      } as unknown as Printer
      const calling = { gateway: new Gateway(new URL(url), token), printer }
      await owners(read(...args), { ...calling, signal: AbortSignal.timeout(30_000) })
      return out.join('\n')
    }
    expect(await tarmac('owners', 'shop')).toMatch(
      /^OWNER +STATE +MACHINES +RELEASE +IMAGE +MEMORY +SINCE \(UTC\) +ADDRESS\nada +running +1 +1 +shop@[\da-f]{12} +512 MiB +.* +http:\/\/ada\.shop\.internal:8080$/,
    )
    expect(await tarmac('owners', 'shop', '--state', 'missing')).toBe(
      'no owner of shop matches; to make one: tarmac deploy shop --owner NAME',
    )
    const shown = await tarmac('owner', 'show', 'shop', 'ada')
    for (const line of [
      /^owner +ada of shop$/m,
      /^app on Fly +shop, shared$/m,
      /^last +.* is live/m,
    ])
      expect(shown).toMatch(line)
    expect(shown).toMatch(/^VOLUME +NAME +REGION +SIZE +MACHINE$/m)
    expect(await tarmac('owner', 'stop', 'shop', 'ada')).toBe(
      'ada of shop is stopped; no request reaches it until: tarmac owner start shop ada',
    )
    expect(await tarmac('owner', 'start', 'shop', 'ada')).toMatch(/^ada of shop is running: http/)

    const id = await tarmac(
      'owner',
      'move',
      'shop',
      'ada',
      '--from-owner',
      'ada',
      '--release',
      '1',
      '--env',
      'WHO=ada',
      '--detach',
    )
    expect(await gateway.ended(id)).toMatchObject({ owner: 'ada', state: 'live', release: 2 })
    const moved = gateway.machineOf('ada')!
    expect(moved.config.env).toMatchObject({ WHO: 'ada' })

    await expect(tarmac('owner', 'destroy', 'shop', 'ada')).rejects.toThrow(
      /^This destroys 1 machine of ada in shop, and deletes 1 volume \(data_o[\da-f]{11}, 1 GB\)\. The data cannot be restored\. There is no terminal to ask on\. To do it: --yes\.$/,
    )
    expect((await list()).owners).toHaveLength(1)
    const kept = await tarmac('owner', 'destroy', 'shop', 'ada', '--keep-volumes', '--yes')
    expect(kept).toMatch(/^ada of shop is destroyed\nmachines: \w+\nkept volumes: vol_/)
    expect(await tarmac('owner', 'destroy', 'shop', 'ada', '--yes')).toMatch(
      /\ndeleted volumes: vol_/,
    )
    expect((await list()).owners).toEqual([])
  },
)

test('tarmac owner refuses what it does not know', () => {
  expect(read('owner', 'move', 'shop', 'ada', '--release', '7')).toMatchObject({
    source: { app: 'shop', release: 7 },
    options: { owner: 'ada' },
  })
  for (const wrong of [['owners'], ['owner', 'show', 'shop'], ['owner', 'list', 'shop', 'ada']])
    expect(() => read(...wrong)).toThrow('The usage is: tarmac owner')
  expect(() => read('owner', 'stop', 'shop', 'ada', '--yes')).toThrow(
    '--yes is not an option of tarmac owner stop. See tarmac owner --help.',
  )
  expect(() => read('owner', 'stop', 'shop', 'Ada')).toThrow('Ada is no name of an owner')
  expect(() => read('owner', 'move', 'shop', 'ada', '--release', 'x')).toThrow(
    'number of a release',
  )
})

test('the question before an owner is destroyed says what will be gone', () => {
  const owner: Owner = {
    app: 'shop',
    owner: 'ada',
    state: 'running',
    flyApp: 'shop-ada-ow-1',
    machineCount: 0,
    release: null,
    image: null,
    memoryMib: 0,
    perHour: 0.0021,
    url: null,
    since: null,
    currency: 'EUR',
    machines: [],
    volumes: [],
    env: [],
    lastDeployment: null,
    changedBy: null,
  }
  expect(endText(owner, false)).toBe(
    'This destroys 0 machines of ada in shop, and deletes 0 volumes, and the app shop-ada-ow-1 with its secrets. The data cannot be restored.',
  )
  expect(endText(owner, true)).toBe('This destroys 0 machines of ada in shop. It keeps 0 volumes.')
  expect(ownerFacts(owner).join('\n')).toContain('cost        0.0021 EUR in an hour')
  expect(shortImage('registry.fly.io/shop@sha256:0123456789abcdef')).toBe('shop@0123456789ab')
  expect(shortImage('nginx:1.27')).toBe('nginx:1.27')
})
