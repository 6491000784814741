import { expect, test } from 'vitest'
import { openSqliteStore } from '../../../../gateway/src/store/sqlite.ts'
import { DeploymentOptions } from '../../../../api/options.ts'
import { authorization, startHttp } from '../start-http.ts'

type Page = { next: string | null } & Record<string, { app: string; owner?: string }[]>

/** A gateway with deployments of three apps, and two callers with limits. */
async function start() {
  const http = await startHttp()
  const put = (path: string) =>
    fetch(`${http.url}/deploy/${path}`, { method: 'PUT', body: 'archive', headers: authorization })
  for (const path of [
    'secret',
    'shop',
    'shop?owner=alice',
    'secret',
    'shop?owner=bob',
    'zoo',
    'shop',
  ])
    await put(`${path}${path.includes('?') ? '&' : '?'}follow=false`)

  async function tokenOf(more: object): Promise<string> {
    const body = JSON.stringify({ name: Object.keys(more).join('-'), scopes: ['admin'], ...more })
    const made = await fetch(`${http.url}/v1/tokens`, {
      method: 'POST',
      body,
      headers: authorization,
    })
    return ((await made.json()) as { token: string }).token
  }
  const get = async (token: string, path: string) =>
    (await (
      await fetch(http.url + path, { headers: { Authorization: `Bearer ${token}` } })
    ).json()) as Page

  /** All pages of one item each: what they show, and how many there are. */
  async function walk(token: string, path: string, list: string) {
    const shown = []
    for (let cursor = '', pages = 1; ; pages++) {
      const page = await get(token, `${path}limit=1${cursor && `&cursor=${cursor}`}`)
      shown.push(...page[list]!)
      if (page.next === null) return { shown, pages }
      cursor = page.next
    }
  }
  return {
    ofShop: await tokenOf({ apps: ['shop'] }),
    ofAlice: await tokenOf({ apps: ['shop'], owners: ['alice'] }),
    get,
    walk,
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  }
}

test('the cursor of a list reveals nothing that a limited caller does not see', async () => {
  await using gateway = await start()
  const { ofShop, ofAlice, get, walk } = gateway
  for (const path of ['/v1/deployments', '/v1/apps', '/v1/audit'])
    for (const app of ['secret', 'nobodys'])
      expect((await get(ofShop, `${path}?limit=1&app=${app}`)).next).toBe(null)

  const shop = await walk(ofShop, '/v1/deployments?', 'deployments')
  expect([shop.shown.length, shop.pages]).toEqual([4, 4])
  const apps = await walk(ofShop, '/v1/apps?', 'apps')
  expect([apps.shown.map(({ app }) => app), apps.pages]).toEqual([['shop'], 1])
  const audit = await walk(ofShop, '/v1/audit?command=submit&', 'entries')
  expect([audit.shown.length, audit.pages]).toEqual([4, 5]) // the last page is empty

  for (const path of ['/v1/apps/shop/deployments?', '/v1/deployments?']) {
    const alice = await walk(ofAlice, path, 'deployments')
    expect([alice.shown.map(({ owner }) => owner), alice.pages]).toEqual([['alice'], 1])
  }
})

test('a caller limited to owners sees the newest deployment of these, and no count of the others', async () => {
  await using gateway = await start()
  const { apps } = await gateway.get(gateway.ofAlice, '/v1/apps')
  expect(apps).toMatchObject([
    { app: 'shop', deployment: { number: 2, owner: 'alice' }, release: null, owners: 0 },
  ])
})

test('a page of rollouts counts only those whose targets are all seen', async () => {
  await using store = openSqliteStore(':memory:')
  const target = (app: string) => ({ app, options: DeploymentOptions.parse({}), deployment: app })
  const ids = ['1', '2', '3', '4']
  for (const id of ids)
    await store.rollouts.create(
      {
        id,
        source: null,
        build: null,
        parallel: 1,
        maxFailures: 1,
        triggeredBy: null,
        targets: id === '3' ? [target('shop')] : [target('shop'), target('secret')],
      },
      { requestBody: id, idempotencyKey: null },
    )
  const isSeen = ({ app }: { app: string }) => app === 'shop'
  const page = await store.rollouts.list({ limit: 1, before: null, isSeen })
  expect([page.rollouts.map(({ id }) => id), page.next]).toEqual([['3'], null])
  expect((await store.rollouts.list({ limit: 1, before: null })).next).toBe('4')
})
