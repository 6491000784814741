import { expect, test } from 'vitest'
import type { Deployment } from '../../../api/deployment.ts'
import type { AppPage } from '../../../api/overview/overview.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import {
  appLines,
  deploymentLines,
  readOverviewArgs,
} from '../../../client/src/overview/overview.ts'
import { startMachines } from '../start-machines.ts'

test('apps and deployments are listed over HTTP, with the newest release of each app', async () => {
  await using gateway = await startMachines()
  const { images, get, deploy } = gateway
  const live = await deploy('shop', { image: images.put('shop', 'v1').name }, { branch: 'main' })
  await deploy('shop', { image: images.put('shop', 'v2').name }, { owner: 'alice' })
  await deploy('pr-1', { image: images.put('pr-1', 'v1').name }, { branch: 'next' })

  const { apps, next } = await get<AppPage>('/v1/apps?app=s*')
  expect([apps, next]).toMatchObject([
    [{ app: 'shop', deployment: { number: 2, owner: 'alice', state: 'live' }, owners: 1 }],
    null,
  ])
  expect(apps[0]!.release).toMatchObject({ number: 1, state: 'healthy' })
  expect((await get<AppPage>('/v1/apps')).apps.map(({ app }) => app)).toEqual(['pr-1', 'shop'])

  const list = async (query: string) =>
    (await get<{ deployments: Deployment[] }>(`/v1/deployments?${query}`)).deployments
  expect((await list('branch=main')).map(({ id }) => id)).toEqual([live.id])
  expect(await list('state=live&limit=2')).toHaveLength(2)
  expect(await list('actor=operator')).toHaveLength(3)
  expect(await list('actor=oper*')).toHaveLength(3)
  expect(await list('actor=token:*')).toHaveLength(0)
  expect(await get<ProblemBody>('/v1/deployments?state=wrong')).toMatchObject({
    code: 'option-invalid',
    detail: expect.stringMatching(
      /^The option state is invalid: expected one of pending, .*superseded, not "wrong"\.$/,
    ) as string,
  })
  expect(await get<ProblemBody>('/v1/apps?branch=x')).toMatchObject({ code: 'option-unknown' })
})

test('tarmac apps and tarmac deployments read filters, and print lines', () => {
  const query = (...args: Parameters<typeof readOverviewArgs>) =>
    readOverviewArgs(...args)?.query.toString()
  expect(query('apps', ['pr-*'], { state: 'live' })).toBe('app=pr-*&state=live')
  expect(query('deployments', [], { limit: '5', cursor: '9' })).toBe('limit=5&cursor=9')
  expect(readOverviewArgs('deployments', ['a', 'b'], {})).toBe(null)

  const createdAt = '2026-11-30T05:06:07.000Z'
  const deployment = { id: 'd1', number: 12, owner: null, state: 'live', createdAt } as const
  const release = { number: 3, state: 'healthy', createdAt } as const
  const shop = {
    app: 'shop',
    deployment: { ...deployment, url: 'https://shop.fly.dev' },
    release,
    owners: 2,
  }
  expect(appLines([shop])).toEqual([
    'APP   NEWEST  AT (UTC)          RELEASE    OWNERS  URL',
    'shop  live    2026-11-30 05:06  3 healthy       2  https://shop.fly.dev',
  ])
  const triggeredBy = { name: 'token:ci', kind: 'token' } as const
  const options = { branch: 'main', message: 'Fix the cart\n\nmore' }
  expect(
    deploymentLines([{ ...deployment, app: 'shop', owner: 'alice', triggeredBy, options }]),
  ).toEqual([
    'DEPLOYMENT  APP         NUMBER  STATE  AT (UTC)          CALLER    BRANCH  MESSAGE',
    'd1          shop/alice      12  live   2026-11-30 05:06  token:ci  main    Fix the cart',
  ])
  expect([appLines([]), deploymentLines([])]).toEqual([
    ['no app matches'],
    ['no deployment matches'],
  ])
})
