import { expect, test } from 'vitest'
import { Problem } from '../../../api/problem.ts'
import { readCommandLine } from '../../../client/src/command-line.ts'
import { Gateway } from '../../../client/src/gateway.ts'
import { pools } from '../../../client/src/preview/pool.ts'
import { previews } from '../../../client/src/preview/previews.ts'
import type { Printer } from '../../../client/src/print.ts'
import { token } from '../../gateway/http/start-http.ts'
import { startMachines } from '../../gateway/start-machines.ts'

test('a pool is set, listed and removed, and a preview says that it is from it', async () => {
  await using gateway = await startMachines()
  const image = gateway.images.put('shop', 'v7').name
  const env = { TARMAC_GATEWAY: gateway.url, TARMAC_TOKEN: token, USER: 'alice' }
  /** Runs a command as `main` does, in this process. Returns what it prints. */
  const tarmac = async (...args: string[]) => {
    const out: string[] = []
    const printer = {
      result: (_facts: object, lines: string[]) => (out.push(...lines), 0),
      progress: (_facts: object, line: string) => void out.push(line),
      note: (line: string) => void out.push(line),
    } as unknown as Printer
    const signal = AbortSignal.timeout(10_000)
    const calling = { gateway: new Gateway(new URL(gateway.url), token), printer, signal }
    try {
      const command = readCommandLine(args, env)
      if (command.name === 'pool') await pools(command.request, calling)
      else if (command.name === 'preview') await previews(command, calling)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return error.message
    }
    return out.join('\n')
  }
  expect(await tarmac('pool', 'ls')).toContain('tarmac pool set APP TEMPLATE')
  const set = ['pool', 'set', 'shop', 'small', '--size', '1', '--image', image]
  expect(await tarmac(...set)).toContain('shop has no template small')
  const config = '[http_service]\ninternal_port = 8080\n'
  await gateway.call('PUT', '/v1/apps/shop/templates/small', { config })
  expect(await tarmac(...set)).toBe(
    `1 of small of shop will wait suspended; to take one: tarmac preview shop --template small --image ${image}`,
  )
  await expect
    .poll(() => tarmac('pool', 'ls', 'shop'), { timeout: 10_000 })
    .toMatch(/APP +TEMPLATE +IMAGE +READY +WARMING +CLAIMED TODAY\nshop +small +\S+ +1 of 1 +0 +0$/)

  const made = await tarmac('preview', 'shop', '--template', 'small', '--image', image)
  expect(made).toMatch(/^pv-\w+ of shop for alice, from the pool: it is gone at /)
  expect(made).toMatch(/\nhttp:\/\/shop-pv-\w+\.flycast$/)
  expect(made).not.toContain('=> deploying')

  expect(await tarmac('pool', 'remove', 'shop', 'small')).toContain(
    'removed the pool small of shop',
  )
  expect(await tarmac('pool', 'remove', 'shop', 'small')).toContain('has no pool of the template')
  expect(await tarmac('pool', 'set', 'shop', 'small', '--image', image)).toContain(
    '--size is missing',
  )
  expect(await tarmac('pool', 'ls', 'shop', '--size', '1')).toContain('tarmac pool set alone')
  expect(await tarmac('pool', 'remove', 'shop')).toContain('The usage is: tarmac pool ls [APP]')
}, 40_000)
