import { expect, test } from 'vitest'
import { readCommandLine } from '../../client/src/command-line.ts'
import { Gateway } from '../../client/src/gateway.ts'
import type { Printer } from '../../client/src/print.ts'
import { router } from '../../client/src/router/router.ts'
import { token } from '../gateway/http/start-http.ts'
import { startMachines } from '../gateway/start-machines.ts'

const read = (...args: string[]) =>
  readCommandLine(['router', ...args], { TARMAC_GATEWAY: 'http://tarmac:8080' })

test('tarmac router reads an app, a domain, or that it is to be removed', () => {
  expect(read('shop')).toMatchObject({ app: 'shop', domain: null, isRemoval: false })
  expect(read('shop', '--domain', 'users.example.com')).toMatchObject({
    domain: 'users.example.com',
  })
  expect(read('shop', '--release', '3')).toMatchObject({ release: 3, domain: null })
  expect(() => read('shop', '--release', 'x')).toThrow('--release: ')
  expect(() => read('shop', '--release', '3', '--domain', 'a.bc')).toThrow('leave one of the two')
  expect(read('shop', '--remove')).toMatchObject({ isRemoval: true })
  expect(() => read('shop', '--domain', 'https://x')).toThrow('is written as users.example.com')
  for (const wrong of [[], ['shop', 'more'], ['shop', '--remove', '--domain', 'a.bc']])
    expect(() => read(...wrong)).toThrow('The usage is: tarmac router APP')
})

test('tarmac router says when there is nothing to deploy, and removes the router', async () => {
  await using gateway = await startMachines()
  const { images, buildAndDeploy, store } = gateway
  const said: string[] = []
  const printer = {
    note: (line: string) => void said.push(line),
    result: (_facts: object, lines: string[]) => (said.push(...lines), 0),
    failed: () => 1,
  }
  const to = new Gateway(new URL(gateway.url), token)
  const run = (isRemoval = false) => {
    const request = { app: 'shop', domain: null, release: null, isRemoval }
    return router(request, to, printer as unknown as Printer, AbortSignal.timeout(20_000))
  }
  await expect(run(true)).rejects.toThrow('shop has no router')

  const made = await gateway.call<{ deployment: string }>('POST', '/v1/apps/shop/router', {})
  const { digest } = images.put('shop-router', 'r1')
  const image = { reference: `${images.host}/shop-router@${digest}`, digest, tags: [] }
  await buildAndDeploy(made.body.deployment, image)
  expect(await run()).toBe(0)
  expect(await run(true)).toBe(0)
  expect(said).toEqual([
    'shop-router runs as it should: nothing to deploy',
    'deleted shop-router, the router of shop',
  ])
  expect(store.routers.list()).toEqual([])
})
