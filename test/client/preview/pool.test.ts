import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { token } from '../../gateway/http/start-http.ts'
import { startMachines } from '../../gateway/start-machines.ts'

const main = join(import.meta.dirname, '../../../client/src/main.ts')
const run = promisify(execFile)

test('a pool is set, listed and removed, and a preview says that it is from it', async () => {
  await using gateway = await startMachines()
  const image = gateway.images.put('shop', 'v7').name
  const env = { ...process.env, TARMAC_GATEWAY: gateway.url, TARMAC_TOKEN: token, USER: 'alice' }
  const tarmac = async (...args: string[]) => {
    const ran = run(process.execPath, [main, ...args], { env })
    const { stdout, stderr } = await ran.catch((error: { stdout: string; stderr: string }) => error)
    return stderr + stdout
  }
  expect(await tarmac('pool', 'ls')).toContain('tarmac pool set APP TEMPLATE')
  const set = ['pool', 'set', 'shop', 'small', '--size', '1', '--image', image]
  expect(await tarmac(...set)).toContain('shop has no template small')
  const config = '[http_service]\ninternal_port = 8080\n'
  await gateway.call('PUT', '/v1/apps/shop/templates/small', { config })
  expect(await tarmac(...set)).toBe(
    `1 of small of shop will wait suspended; to take one: tarmac preview shop --template small --image ${image}\n`,
  )
  await expect
    .poll(() => tarmac('pool', 'ls', 'shop'), { timeout: 10_000 })
    .toMatch(
      /APP +TEMPLATE +IMAGE +READY +WARMING +CLAIMED TODAY\nshop +small +\S+ +1 of 1 +0 +0\n/,
    )

  const made = await tarmac('preview', 'shop', '--template', 'small', '--image', image)
  expect(made).toMatch(/^tarmac: pv-\w+ of shop for alice, from the pool: it is gone at /)
  expect(made).toMatch(/\nhttp:\/\/shop-pv-\w+\.flycast\n$/)
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
