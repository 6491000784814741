import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { Owner } from '#api/owners/owner.ts'
import { pageApp } from '../lab-actions.ts'
import { askLab, phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

const app = 'board-owners'

test('owners are listed, stopped, started and destroyed; each with the app that it has for itself', async () => {
  await lab.end(await lab.submit(app, pageApp('owned')))
  await askLab('PATCH', `/v1/apps/${app}`, { owners: 'app-per-owner' })
  const made = await askLab<Deployment>('POST', `/v1/apps/${app}/deployments`, {
    source: { release: 1, app },
    owner: 'ada',
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
  await page
    .getByRole('region', { name: 'Owners' })
    .getByRole('link', { name: 'ada', exact: true })
    .click()
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

test('without a router its board says what one is for, and how to deploy one', async () => {
  await using ui = await openPage(phone)
  await ui.page.getByRole('link', { name: 'Routers' }).click()
  await ui.page.getByText('tarmac router my-app').waitFor()
  await ui.screenshot('routers-phone')
  await ui.assertAccessible()
})
