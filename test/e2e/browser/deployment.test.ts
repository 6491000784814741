import { expect, test } from 'vitest'
import { heldApp } from '../held-step.ts'
import { pageApp } from '../lab-actions.ts'
import { openLine } from './open-line.ts'
import { lab, openPage } from './open-page.ts'

test('a deployment is watched from the queue to live, without a reload', async () => {
  await using ui = await openPage()
  const build = heldApp('watched')
  const id = await lab.submit('watched', build.files, 'message=First+one')
  const { page } = ui
  await page.goto(`/ui/deployments/${id}`)
  const strip = page.getByRole('list', { name: 'States of the deployment' })
  await strip.locator('.busy', { hasText: 'building' }).waitFor()
  await ui.screenshot('deployment-building')
  await page.evaluate('window.notReloaded = true')
  await build.release()

  await page.getByRole('heading', { name: 'live' }).waitFor()
  expect(await page.evaluate('window.notReloaded')).toBe(true)
  const { record } = await lab.end(id)
  expect((await strip.innerText()).replaceAll('●', '')).toMatch(
    /pending\s.*s\s+fetching\s.*s\s+analyzing\s.*s\s+building\s+\d.*s\s+pushing\s.*verifying\s.*s\s+live\s+after .* s/s,
  )
  const machines = page.getByRole('region', { name: 'Machines' })
  await machines.getByRole('row', { name: new RegExp(record.machines[0]!.id) }).waitFor()
  await page.getByText('First one').waitFor()
  const log = page.getByRole('region', { name: 'Lines of the log' })
  await log.locator('.heading', { hasText: 'live' }).waitFor()
  await ui.screenshot('deployment-live')
  await ui.assertAccessible()

  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download the whole log' }).click(),
  ])
  expect(file.suggestedFilename()).toBe('watched-1.log')
})

test('a failure shows the last lines, whose fault it is and what to do next, without JavaScript', async () => {
  const fails = pageApp('fails', 'RUN echo "no file named left.txt" >&2; exit 3')
  const id = await lab.submit('failing', fails)
  const { record } = await lab.end(id)
  const look = { viewport: { width: 360, height: 740 }, colorScheme: 'dark' } as const
  await using plain = await openPage({ ...look, javaScriptEnabled: false })
  const { page } = plain
  await page.goto(`/ui/deployments/${id}`)
  await page.getByRole('heading', { name: record.problem!.title }).waitFor()
  await page.getByLabel('The last lines of the program').getByText('no file named').waitFor()
  await page.getByText('The sender can fix it').waitFor()
  await page.getByText(`The whole log: tarmac follow ${id}`).waitFor()
  await page.locator('.strip .bad', { hasText: 'building' }).waitFor()
  expect(await page.locator('main .busy').count()).toBe(0)
  await plain.screenshot('deployment-failed-phone-dark')

  await using ui = await openPage(look)
  await ui.page.goto(`/ui/deployments/${id}`)
  expect(await ui.page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  await ui.assertAccessible()
})

test('a page whose connection is lost says so, and goes on where it was', async () => {
  await using line = await openLine(lab.gateway)
  await using ui = await openPage({ baseURL: line.url, expected: /net::ERR_/ })
  const build = heldApp('lost')
  const id = await lab.submit('lost', build.files)
  const { page } = ui
  await page.goto(`/ui/deployments/${id}`)
  await page.locator('.strip .busy').waitFor()
  line.cut()
  await page.getByText('The connection to the gateway is lost').waitFor()
  await ui.screenshot('deployment-stale')
  await build.release()
  await line.join()
  await page.getByRole('heading', { name: 'live' }).waitFor()
  await page.getByText('The connection to the gateway is lost').waitFor({ state: 'hidden' })
})

test('a session that ends leads to the login, and back to the page', async () => {
  const tokens = (path: string, method: string, body?: object) =>
    fetch(`${lab.gateway}/v1/tokens${path}`, {
      method,
      headers: { authorization: `Bearer ${lab.token}` },
      ...(body && { body: JSON.stringify(body) }),
    })
  const made = await tokens('', 'POST', { name: 'short', scopes: ['read'] })
  const { token } = (await made.json()) as { token: string }
  await using ui = await openPage({ token, expected: /^401/ })
  const { page } = ui
  const build = heldApp('ended')
  const id = await lab.submit('ended', build.files)
  await page.goto(`/ui/deployments/${id}`)
  await page.locator('.strip .busy').waitFor()
  await tokens('/short', 'DELETE')
  await page.getByRole('link', { name: 'Log in again' }).click()
  await page.getByText('The token short was revoked').waitFor()
  await ui.screenshot('login-revoked')
  await ui.assertAccessible()
  await page.getByLabel('Token').fill(lab.token)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: /^Deployment #1/ }).waitFor()
  expect(new URL(page.url()).pathname).toBe(`/ui/deployments/${id}`)
  await build.release()
  await lab.end(id)
})
