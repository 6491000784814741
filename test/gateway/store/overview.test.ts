import { expect, test } from 'vitest'
import { DeploymentOptions } from '../../../api/options.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const source = { digest: 'sha256:aa', files: 1, sizeBytes: 1 }

async function storeWith(count: number, appOf: (at: number) => string) {
  const store = openSqliteStore(':memory:')
  for (let at = 0; at < count; at++) {
    const branch = at % 2 === 0 ? 'main' : 'next'
    const options = DeploymentOptions.parse({ lane: 'fifo', branch })
    const triggeredBy = { name: at === 1 ? 'token:ci' : 'operator', kind: 'operator' as const }
    await store.create({ id: `d${at}`, app: appOf(at), options, source, triggeredBy })
  }
  return store
}
const first = { limit: 3, before: null }

test('deployments of all apps are listed newest first, page by page, and filtered', async () => {
  await using store = await storeWith(7, (at) => (at < 4 ? 'pr-1' : 'shop'))
  const ids = async (filter: object, page = first) => {
    const { deployments, next } = await store.overview.deployments(filter, page)
    return [deployments.map(({ id }) => id).join(' '), next]
  }
  expect(await ids({})).toEqual(['d6 d5 d4', '5'])
  expect(await ids({}, { limit: 3, before: '5' } as never)).toEqual(['d3 d2 d1', '2'])
  expect(await ids({}, { limit: 3, before: '2' } as never)).toEqual(['d0', null])
  expect(await ids({ app: 'pr-*' }, { limit: 9, before: null })).toEqual(['d3 d2 d1 d0', null])
  expect(await ids({ app: 'pr-' })).toEqual(['', null])
  expect(await ids({ app: '%*' })).toEqual(['', null])
  expect(await ids({ branch: 'next' }, { limit: 9, before: null })).toEqual(['d5 d3 d1', null])
  expect(await ids({ actor: 'token:ci' })).toEqual(['d1', null])
  await store.requestCancel('d4', { by: null, why: null, abort: false })
  expect(await ids({ state: 'cancelled' })).toEqual(['d4', null])
  expect(await ids({ owner: 'alice' })).toEqual(['', null])

  const options = DeploymentOptions.parse({ owner: 'alice' })
  await store.create({ id: 'of-alice', app: 'shop', options, source })
  const page = { limit: 9, before: null }
  expect(await ids({ environment: 'owner' }, page)).toEqual(['of-alice', null])
  expect(await ids({ environment: 'app', app: 'shop' }, page)).toEqual(['d6 d5 d4', null])
  expect(await ids({ environment: 'preview' }, page)).toEqual(['', null])
})

test('apps are listed by name with their newest deployment, page by page', async () => {
  await using store = await storeWith(9, (at) => `app-${at % 5}`)
  const names = async (filter: object, before: string | null) => {
    const { apps, next } = await store.overview.apps(filter, { limit: 2, before })
    return [apps.map(({ app, deployment: { id } }) => `${app}:${id}`).join(' '), next]
  }
  expect(await names({}, null)).toEqual(['app-0:d5 app-1:d6', 'app-1'])
  expect(await names({}, 'app-1')).toEqual(['app-2:d7 app-3:d8', 'app-3'])
  expect(await names({}, 'app-3')).toEqual(['app-4:d4', null])
  expect(await names({ app: 'app-3' }, null)).toEqual(['app-3:d8', null])
  expect(await names({ state: 'live' }, null)).toEqual(['', null])
})

test('both lists know the apps of a team, and those of no other', async () => {
  await using store = await storeWith(6, (at) => `app-${at % 3}`)
  await store.teams.create('acme')
  await store.teams.moveApp('app-1', 'acme')
  const listed = async (team: string) => {
    const page = { limit: 9, before: null }
    const { deployments } = await store.overview.deployments({ team }, page)
    const { apps } = await store.overview.apps({ team }, page)
    return [deployments.map(({ id }) => id).join(' '), apps.map(({ app }) => app).join(' ')]
  }
  expect(await listed('acme')).toEqual(['d4 d1', 'app-1'])
  expect(await listed('default')).toEqual(['d5 d3 d2 d0', 'app-0 app-2'])
  expect(await listed('none')).toEqual(['', ''])

  // A preview counts to the team of the app that it belongs to.
  const preview = {
    id: 'pv-test00000001',
    app: 'app-1',
    owner: 'alice',
    template: null,
    expiresAt: new Date().toISOString(),
    evict: false,
    limits: { perOwner: 3, all: 3 },
  }
  const options = DeploymentOptions.parse({})
  await store.create({ id: 'p', app: 'app-1-pv-test00000001', options, source, preview })
  expect(await listed('acme')).toEqual(['p d4 d1', 'app-1'])
  expect(await listed('default')).toEqual(['d5 d3 d2 d0', 'app-0 app-2'])
})

test('a page looks at 5,000 records at most: it may be empty, and says where to go on', async () => {
  await using store = await storeWith(5003, (at) => `app-${at % 10}`)
  const filter = { branch: 'none' }
  expect(await store.overview.deployments(filter, first)).toEqual({ deployments: [], next: '4' })
  const rest = await store.overview.deployments(filter, { limit: 3, before: '4' })
  expect(rest).toEqual({ deployments: [], next: null })
})
