import { expect, test } from 'vitest'
import type { Rollout } from '#api/rollout.ts'
import { heldApp } from '../held-step.ts'
import { pageApp } from '../lab-actions.ts'
import { askLab, phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

const main = 'board-app'
/** So that the app has something in the build cache for itself. */
const ownLayer = 'RUN head -c 3000000 /dev/urandom > /own'
/** An app with a release, which several boards show. */
const deployed = lab
  .submit(main, pageApp('a board', ownLayer))
  .then(async (id) => (await lab.end(id)).record)

test('the queue says what runs and what waits for it, and follows both', async () => {
  await using ui = await openPage(phone)
  const { page } = ui
  const first = await lab.submit('board-queue', heldApp('one').files, 'lane=fifo')
  await lab.seen(first, (event) => event.type === 'state' && event.state === 'building')
  const second = await lab.submit('board-queue', pageApp('two'), 'lane=fifo')

  await page.goto('/ui/queue')
  const running = page.getByRole('table', { name: 'Deployments that run' })
  const waiting = page.getByRole('table', { name: 'Deployments that wait' })
  await running.getByRole('link', { name: 'board-queue #1' }).waitFor()
  expect(await waiting.innerText()).toMatch(
    /board-queue #2[^]*the deployment before it\s+in its lane/,
  )
  expect(
    await waiting.getByRole('link', { name: 'the deployment before it' }).getAttribute('href'),
  ).toBe(`/ui/deployments/${first}`)
  await ui.screenshot('queue-phone')
  await ui.assertAccessible()

  await waiting.getByRole('link', { name: 'Cancel…' }).click()
  await page.getByRole('button', { name: 'Cancel it' }).click()
  expect((await lab.end(second)).record.state).toBe('cancelled')

  // The page follows without a reload.
  await page.goto('/ui/queue')
  await askLab('POST', `/v1/deployments/${first}/cancel`)
  await running.getByRole('link', { name: 'board-queue #1' }).waitFor({ state: 'detached' })
  await lab.end(first)
})

test('a rollout shows its targets by state, failed ones first, and can be cancelled', async () => {
  const { id: deployment } = await deployed
  const { id } = await askLab<Rollout>('POST', '/v1/rollouts', {
    source: { deployment },
    targets: [
      { app: main, owner: 'ada' },
      { app: main, owner: 'bob', region: 'nowhere' },
    ],
    parallel: 1,
    maxFailures: 2,
  })
  await using ui = await openPage({ javaScriptEnabled: false })
  const { page } = ui
  await page.goto(`/ui/rollouts/${id}`)
  await page.getByText('Cancel…').click()
  await page.getByRole('button', { name: 'Cancel it' }).click()
  await expect
    .poll(async () => (await askLab<Rollout>('GET', `/v1/rollouts/${id}`)).endedAt, {
      timeout: 60_000,
    })
    .not.toBeNull()
  await page.goto('/ui/rollouts')
  await page.getByRole('link', { name: id }).click()
  const targets = page.getByRole('table', { name: 'Targets' })
  await page.getByText('Cancel…').click()
  expect(await targets.innerText()).toMatch(/for ada|for bob/)
  expect(await page.getByRole('button', { name: 'Cancel it' }).isDisabled()).toBe(true)
  await ui.screenshot('rollout')
})

test('the audit trail is filtered by its address, and has pages', async () => {
  const { id } = await deployed
  await using ui = await openPage()
  const { page } = ui
  await page.goto('/ui/audit')
  await page.getByLabel('App').fill(main)
  await page.getByLabel('Command').fill('submit')
  await page.getByRole('button', { name: 'Filter' }).click()
  const entries = page.getByRole('table', { name: 'Entries' })
  expect(await entries.innerText()).toContain(id)
  expect(await entries.getByRole('row').count()).toBe(2)
  await ui.screenshot('audit')
  await ui.assertAccessible()

  await page.goto('/ui/audit?command=sumbit')
  expect(await page.getByRole('main').innerText()).toContain('Did you mean submit?')
})

test('the builder shows disk, cache, removals, problems, mirror and versions, and runs the doctor', async () => {
  await deployed
  await lab.end(await lab.submit('board-fails', pageApp('fails', 'RUN exit 3')))
  await using ui = await openPage(phone)
  const { page } = ui
  await page.goto('/ui/builder')
  const text = await page.getByRole('main').innerText()
  for (const part of ['Disk', 'Calls of Fly', 'Registry mirror', 'none is too old'])
    expect(text).toContain(part)
  const failed = page.getByRole('table', { name: 'Problems of failed deployments' })
  const stepFailed = failed.getByRole('row').filter({ hasText: 'build-failed' })
  expect(await stepFailed.innerText()).toMatch(/The sender can fix it/)
  const cache = page.getByRole('table', { name: 'build cache' })
  const row = cache.getByRole('row').filter({ hasText: main })
  await row.getByText('Drop…').click()
  await ui.screenshot('builder-phone')
  await ui.assertAccessible()
  await row.getByRole('button', { name: 'Drop its cache' }).click()
  // Deployments of other tests may use the same steps: then none of their bytes are removed.
  expect(await page.getByRole('main').innerText()).toMatch(
    /The cache of board-app is dropped\s+[\d.]+ [kM]?B and \d+ plans were removed/,
  )

  await page.goto('/ui/builder')
  const removed = page.getByRole('region', { name: 'What was removed' })
  expect(await removed.innerText()).toMatch(/ in \d+ removals?|Nothing was removed/)
  await ui.screenshot('builder-removals-phone')
  await page.getByRole('button', { name: 'Run the doctor' }).click()
  await page.getByRole('heading', { name: 'Doctor', level: 1 }).waitFor({ timeout: 60_000 })
  expect(await page.getByRole('main').innerText()).toMatch(/\d+ ok/)
  await ui.screenshot('doctor-phone')
})

test('drift that a look finds is explained, and what can be accepted is', async () => {
  await deployed
  const [machine] = await lab.machines(main)
  const headers = { authorization: `Bearer ${lab.flyToken}`, 'content-type': 'application/json' }
  const path = `${lab.flyApi}/v1/apps/${main}/machines`
  const body = JSON.stringify({ config: { ...machine!.config, metadata: {} }, region: 'ams' })
  const made = await fetch(path, { method: 'POST', headers, body })
  expect(made.status).toBe(200)

  await using ui = await openPage()
  const { page } = ui
  await page.goto('/ui/drift')
  await page.getByLabel('App').fill(main)
  await page.getByRole('button', { name: 'Look now' }).click()
  await page.getByText('machine-foreign').waitFor()
  await page.getByText('Accept…').click()
  expect(await page.getByRole('button', { name: 'Accept them' }).isDisabled()).toBe(true)
  await ui.screenshot('drift')
  await ui.assertAccessible()

  const given = JSON.stringify({ type: 'v6' })
  const ips = `${lab.flyApi}/v1/apps/${main}/ip_assignments`
  const { ip } = (await (await fetch(ips, { method: 'POST', headers, body: given })).json()) as {
    ip: string
  }
  await page.reload()
  await page.getByText(`can be reached from everywhere at ${ip}`).waitFor()
  await page.getByText('Accept…').first().click()
  await page.getByRole('button', { name: 'Accept them' }).first().click()
  await page.getByText('machine-foreign').first().waitFor()
  const now = page.getByRole('region', { name: 'Found just now' })
  expect(await now.innerText()).not.toContain('from everywhere')
  await page.goto(`/ui/apps/${main}`)
  const drift = page.getByRole('region', { name: 'Drift' })
  expect(await drift.innerText()).toContain(((await made.json()) as { id: string }).id)
  await drift.getByText('Accept…').click()
  await drift.getByText('Nothing here is about an address or a hostname.').waitFor()
})
