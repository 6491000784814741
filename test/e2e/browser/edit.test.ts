import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { pageApp } from '../lab-actions.ts'
import { askLab, phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

const app = 'edited'
const deployed = lab.submit(app, pageApp('edited')).then((id) => lab.end(id))

test('settings, variables and secrets change by forms, and what is refused comes back as it was typed', async () => {
  await deployed
  await using ui = await openPage({ ...phone, expected: /^422/ })
  const { page } = ui
  await page.goto(`/ui/apps/${app}`)
  await page.getByRole('link', { name: 'Change the settings' }).click()
  await page.getByLabel('lane').selectOption('fifo')
  await page.getByLabel('region').fill('Amsterdam')
  await page.getByRole('button', { name: 'Change them' }).click()
  await page.getByRole('alert').getByText('a region is a short code').waitFor()
  expect(await page.getByLabel('lane').inputValue()).toBe('fifo')
  expect(await page.getByLabel('region').inputValue()).toBe('Amsterdam')
  await ui.screenshot('settings-refused-phone')
  await ui.assertAccessible()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  await page.getByLabel('region').fill('')
  await page.getByRole('button', { name: 'Change them' }).click()
  await page.getByText('Its own: lane').waitFor()

  await page.getByText('Set a variable…').click()
  const variable = page.locator(`form[action="/ui/apps/${app}/variables/set"]`)
  await variable.getByLabel('Name').fill('GREETING')
  await variable.getByLabel('Value').fill('hello from a form')
  await variable.getByLabel('Deploy it now').check()
  await variable.getByRole('button', { name: 'Set it' }).click()
  await page
    .getByRole('link')
    .filter({ has: page.locator('code') })
    .click()
  const id = page.url().split('/').at(-1)!
  expect((await lab.end(id)).record.state).toBe('live')

  await page.goto(`/ui/apps/${app}`)
  const variables = page.getByRole('region', { name: 'Variables' })
  expect(await variables.innerText()).toMatch(/GREETING[^]*hello from a form[^]*settings/)
  await page.getByText('Set a secret…').click()
  const secret = page.locator(`form[action="/ui/apps/${app}/secrets/set"]`)
  await secret.getByLabel('Name').fill('no name')
  await secret.getByLabel('Value').fill('line one\nline two')
  await ui.screenshot('secret-phone')
  await secret.getByRole('button', { name: 'Set it' }).click()
  await page.getByRole('alert').waitFor()
  expect(await secret.getByLabel('Name').inputValue()).toBe('no name')
  expect(await page.content()).not.toContain('line two')
  await secret.getByLabel('Name').fill('API_KEY')
  await secret.getByLabel('Value').fill('line one\nline two')
  await secret.getByLabel('Deploy it now').uncheck()
  await secret.getByRole('button', { name: 'Set it' }).click()
  await page.getByRole('heading', { name: 'Secret API_KEY is changed' }).waitFor()
  await page.getByRole('link', { name: 'Back to the app' }).first().click()
  expect(await page.getByRole('region', { name: 'Secrets' }).innerText()).toMatch(
    /API_KEY\s[^]*staged/,
  )
})

test('deployments of all apps are listed by a filter in the address, without JavaScript', async () => {
  const { record } = await deployed
  await using ui = await openPage({ javaScriptEnabled: false })
  const { page } = ui
  await page.getByRole('link', { name: 'Deployments', exact: true }).click()
  await page.getByLabel('App').fill(app)
  await page.getByLabel('State').selectOption('live')
  await page.getByLabel('Environment').selectOption('main machines')
  await page.getByRole('button', { name: 'Filter' }).click()
  await page.getByRole('link', { name: `${app} #${record.number}` }).waitFor()
  await ui.screenshot('deployments')
  await page.goto('/ui/deployments?app=edited&state=build_failed')
  await page.getByText('None matches').waitFor()
  await page.goto('/ui/deployments?app=edited&environment=preview')
  await page.getByText('None matches').waitFor()
})

test('an image is deployed by its name, and one that is none is shown again', async () => {
  const { record } = await deployed
  await using ui = await openPage({ expected: /^422/ })
  const { page } = ui
  await page.goto(`/ui/apps/${app}`)
  await page.getByRole('link', { name: 'Deploy an image…' }).click()
  await page.getByLabel('Image').fill('https://not/an/image')
  await page.getByRole('button', { name: 'Deploy it' }).click()
  await page.getByRole('alert').getByText('is not a reference to an image').waitFor()
  const image = page.getByLabel('Image')
  expect(await image.inputValue()).toBe('https://not/an/image')
  expect(await image.getAttribute('aria-invalid')).toBe('true')
  await page.getByLabel('Image').fill(record.image!.reference)
  await ui.screenshot('deploy-image')
  await ui.assertAccessible()
  await page.getByRole('button', { name: 'Deploy it' }).click()
  await page.waitForURL(/\/ui\/deployments\//)
  const id = page.url().split('/').at(-1)!
  const ended: Deployment = (await lab.end(id)).record
  expect(ended).toMatchObject({ app, state: 'live', image: { digest: record.image!.digest } })
})

test('an app that nobody knows is a page that says so', async () => {
  await using ui = await openPage({ expected: /^404/ })
  await ui.page.goto('/ui/apps/never-heard-of')
  await ui.page.getByText('There is no app never-heard-of').waitFor()
})

test('quotas of a team are changed, and a wrong one is shown beside its field', async () => {
  await using ui = await openPage({ ...phone, expected: /^422/ })
  const { page } = ui
  await askLab('POST', '/v1/teams', { name: 'edit-team' })
  await page.goto('/ui/callers/teams/edit-team')
  await page.getByText('Change quotas…').click()
  await page.getByLabel('builds-per-day').fill('12')
  await page.getByLabel('machines').fill('many')
  await page.getByRole('button', { name: 'Change them' }).click()
  await page.getByRole('alert').getByText('The quota machines is a whole number').waitFor()
  expect(await page.getByLabel('builds-per-day').inputValue()).toBe('12')
  await ui.screenshot('quotas-phone')
  await ui.assertAccessible()
  await page.getByLabel('machines').fill('none')
  await page.getByRole('button', { name: 'Change them' }).click()
  await page.getByRole('table', { name: 'Quotas' }).getByText('12 builds').waitFor()
  await askLab('DELETE', '/v1/teams/edit-team')
})
