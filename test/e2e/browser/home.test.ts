import { expect, test } from 'vitest'
import { heldApp } from '../held-step.ts'
import { pageApp } from '../lab-actions.ts'
import { lab, openPage } from './open-page.ts'

test('home shows what runs, what is on its way and what failed last, and follows it', async () => {
  await using ui = await openPage()
  const build = heldApp('slow')
  const slow = await lab.submit('home-slow', build.files)
  const { page } = ui
  await page.reload()
  const running = page.getByRole('region', { name: 'On the way' })
  await running.getByRole('link', { name: 'home-slow #1' }).waitFor()
  await ui.screenshot('home-running')
  await build.release()

  // No reload: the page follows.
  await page.getByRole('row', { name: /home-slow.*live/ }).waitFor()
  await running.waitFor({ state: 'hidden' })
  expect((await lab.deployment(slow)).state).toBe('live')
  await lab.end(await lab.submit('home-broken', pageApp('broken', 'RUN exit 3')))
  await page.reload()
  const failed = page.getByRole('region', { name: 'Failed last' })
  await failed.getByRole('link', { name: 'home-broken #1' }).waitFor()
  await ui.screenshot('home')
  await ui.assertAccessible()

  await page.getByRole('link', { name: 'home-slow', exact: true }).click()
  await page.getByRole('heading', { level: 1, name: 'home-slow' }).waitFor()
})

test('a caller sees its own apps alone', async () => {
  await lab.end(await lab.submit('seen-app', pageApp('seen')))
  await lab.end(await lab.submit('unseen-app', pageApp('unseen')))
  const made = await fetch(`${lab.gateway}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.token}` },
    body: JSON.stringify({ name: 'viewer', scopes: ['read'], apps: ['seen-app'] }),
  })
  const { token } = (await made.json()) as { token: string }
  await using ui = await openPage({ token, expected: /^404/ })
  await ui.page.getByRole('link', { name: 'seen-app', exact: true }).waitFor()
  expect(await ui.page.getByRole('main').innerText()).not.toContain('unseen-app')

  await ui.page.goto('/ui/apps/unseen-app')
  await ui.page.getByText('There is no app unseen-app that the caller may use.').waitFor()
  await ui.page.goto('/ui/apps/seen-app')
  await ui.page.getByText('This needs the scope admin').first().waitFor()
  await ui.screenshot('app-read-only')
})
