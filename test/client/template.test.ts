import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readCommandLine } from '../../client/src/command-line.ts'
import { Gateway } from '../../client/src/gateway.ts'
import type { Printer } from '../../client/src/print.ts'
import { templates } from '../../client/src/template/template.ts'
import { token } from '../gateway/http/start-http.ts'
import { startMachines } from '../gateway/start-machines.ts'

test('templates are set from a file, listed, shown by version, and removed', async () => {
  await using gateway = await startMachines()
  const folder = await mkdtemp(join(tmpdir(), 'tarmac-template-'))
  await using _folder = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
  const [toml, text] = [join(folder, 'fly.toml'), join(folder, 'notes.txt')]
  await writeFile(toml, '[http_service]\ninternal_port = 3000\n')

  const tarmac = async (...args: string[]) => {
    const command = readCommandLine(['template', ...args], {
      TARMAC_GATEWAY: gateway.url,
      TARMAC_TOKEN: token,
    })
    if (command.name !== 'template') throw new Error(command.name)
    const out: string[] = []
    const printer = { result: (_facts: object, lines: string[]) => (out.push(...lines), 0) }
    const to = new Gateway(new URL(gateway.url), token)
    await templates(command.request, to, printer as Printer, AbortSignal.timeout(10_000))
    return out.join('\n')
  }
  expect(await tarmac('list', 'shop')).toContain('tarmac template set shop NAME fly.toml')
  expect(await tarmac('set', 'shop', 'small', toml)).toBe(
    'small@1 of shop, whose machines may reach everything; to use it: tarmac preview shop --template small',
  )
  expect(await tarmac('list', 'shop')).toMatch(/^small +1 +everything +operator/m)
  expect(await tarmac('show', 'shop', 'small@1')).toMatch(
    /^# small@1 of shop.*\n# its machines may reach everything\n\[http_service\]/,
  )
  const limited = (egress: string) => tarmac('set', 'shop', 'closed', toml, '--egress', egress)
  expect(await limited('443/tcp,53/udp,443/tcp')).toContain('may reach 53/udp, 443/tcp;')
  expect(await limited('none')).toContain('closed@2 of shop, whose machines may reach nothing;')
  expect(await tarmac('list', 'shop')).toMatch(/^closed +2 +nothing +operator/m)
  expect(await tarmac('show', 'shop', 'closed@1')).toContain('\n# its machines may reach 53/udp,')
  for (const wrong of ['443', '0/tcp', '70000/tcp', '443/icmp', ''])
    await expect(limited(wrong)).rejects.toThrow('--egress takes ports, as 443/tcp,53/udp, or none')
  await expect(tarmac('list', 'shop', '--egress', 'none')).rejects.toThrow('usage is: tarmac temp')

  await expect(tarmac('show', 'shop', 'small@2')).rejects.toThrow('has no template small')
  await expect(tarmac('set', 'shop', 'small', text)).rejects.toThrow('ends with .toml')
  await expect(tarmac('set', 'shop', 'small', join(folder, 'no.toml'))).rejects.toThrow(
    'cannot be read',
  )
  expect(await tarmac('remove', 'shop', 'small')).toBe('removed the template small of shop')
  for (const wrong of [[], ['list'], ['set', 'shop', 'small'], ['show', 'shop']])
    await expect(tarmac(...wrong)).rejects.toThrow('The usage is: tarmac template')
})
