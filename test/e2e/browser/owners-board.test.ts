import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { Owner } from '#api/owners/owner.ts'
import { pageApp } from '../lab-actions.ts'
import { askLab, phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

const app = 'board-owners'

test('owners are listed, stopped, moved and destroyed; each with the app that it has for itself', async () => {
  await lab.end(await lab.submit(app, pageApp('owned')))
  await askLab('PATCH', `/v1/apps/${app}`, { owners: 'app-per-owner' })
  const options = { owner: 'ada' }
  const made = await askLab<Deployment>('POST', `/v1/apps/${app}/deployments`, {
    source: { release: 1, app },
    options,
  })
  expect((await lab.end(made.id)).record.state).toBe('live')
  const owner = () => askLab<Owner>('GET', `/v1/apps/${app}/owners/ada`)
  const { flyApp, machines } = await owner()

  await using small = await openPage(phone)
  await small.page.goto(`/ui/apps/${app}/owners`)
  const list = small.page.getByRole('table', { name: 'Owners' })
  expect(await list.innerText()).toMatch(/ada[^]*running/)
  expect(await small.page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  await small.screenshot('owners-phone')
  await small.assertAccessible()

  await using ui = await openPage({ expected: /^422/ })
  const { page } = ui
  await page.goto(`/ui/apps/${app}`)
  await page.getByRole('region', { name: 'Owners' }).getByRole('link', { name: 'ada' }).click()
  await page.getByRole('heading', { level: 1, name: `${app} for ada` }).waitFor()
  await page.getByText(`${flyApp}, its own`).waitFor()
  await page.getByRole('region', { name: 'Machines' }).getByText(machines[0]!.id).first().waitFor()
  await page.getByText('Stop ada…').click()
  await ui.screenshot('owner')
  await ui.assertAccessible()
  await page.getByRole('button', { name: 'Stop it' }).click()
  await page.locator('#owner .mark', { hasText: 'stopped' }).waitFor()
  expect((await owner()).changedBy?.by).toBe('operator')
  await page.getByText('Start ada…').click()
  await page.getByRole('button', { name: 'Start it' }).click()
  await page.locator('#owner .mark', { hasText: 'running' }).waitFor()

  await page.getByText('Destroy ada…').click()
  await page.getByLabel('Its volumes').selectOption('delete')
  await page.getByLabel('To confirm, type ada').fill('eve')
  await page.getByRole('button', { name: 'Destroy it' }).click()
  await page.getByRole('alert').getByText('To destroy the machines of ada, type ada.').waitFor()
  expect(await page.getByLabel('Its volumes').inputValue()).toBe('delete')
  const confirm = page.getByLabel('To confirm, type ada')
  expect(await confirm.evaluate((field) => field === field.ownerDocument.activeElement)).toBe(true)
  await ui.screenshot('owner-refused')
  await ui.assertAccessible()
  await confirm.fill('ada')
  await page.keyboard.press('Enter')
  await page.getByText('There is none yet').waitFor()
})

test('the router of a shared app shows where it runs and what it routes', async () => {
  await using ui = await openPage({ ...phone, expected: /^422/ })
  const { page } = ui
  await page.goto('/ui/routers')
  await page.getByText('tarmac router my-app').waitFor()
  const shared = 'board-shared'
  await lab.end(await lab.submit(shared, pageApp('shared'), 'owner=bob'))
  const { deployment } = await askLab<{ deployment: string }>('POST', `/v1/apps/${shared}/router`, {
    domain: 'users.example.com',
  })
  expect((await lab.end(deployment)).record.state).toBe('live')
  await page.reload()
  await page.getByRole('link', { name: shared, exact: true }).click()
  await page.getByRole('heading', { name: `Router of ${shared}` }).waitFor()
  const routes = page.getByRole('table', { name: 'Routes' })
  const { machines } = await askLab<Owner>('GET', `/v1/apps/${shared}/owners/bob`)
  expect(await routes.innerText()).toMatch(new RegExp(`bob[^]*${machines[0]!.id}`))
  await page.getByText('Deploy it again…').click()
  await page.getByLabel('Domain').fill('Not A Name')
  await ui.screenshot('router-phone')
  await ui.assertAccessible()
  await page.getByRole('button', { name: 'Deploy it' }).click()
  await page.getByText('a domain is written as users.example.com').first().waitFor()
  expect(await page.getByLabel('Domain').inputValue()).toBe('Not A Name')
})
