import { expect, test } from 'vitest'
import { flyControl } from '../../../lab/localfly/hostile-control.ts'
import type { Preview } from '#api/previews/preview.ts'
import { pageApp } from '../lab-actions.ts'
import { askLab, phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

const app = 'board-pv'

test('the board shows a preview, which is extended by the keyboard alone, stopped, started and destroyed', async () => {
  const built = await lab.submit(app, pageApp('a preview'))
  await lab.end(built)
  const { id, flyApp } = await askLab<Preview>('POST', '/v1/previews?wait=true', {
    app,
    owner: 'ada',
    source: { deployment: built },
  })
  await lab.page(flyApp)
  await flyControl(lab.flyControl).scrape()

  await using ui = await openPage(phone)
  const { page } = ui
  await page.goto('/ui/previews')
  const living = page.getByRole('table', { name: 'Previews that live' })
  expect(await living.innerText()).toMatch(/ada[^]*ready[^]*in \d/)
  expect(await living.innerText()).toMatch(/shared, 1 CPU, \d+ MB/)
  const asked = living.locator('[data-head="Last request"] time')
  const lastAt = Date.parse((await asked.getAttribute('datetime')) ?? '')
  expect(Math.abs(Date.now() - lastAt)).toBeLessThan(10 * 60_000)
  await ui.screenshot('previews-phone')
  await ui.assertAccessible()

  await page.getByRole('link', { name: id }).first().focus()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: `Preview ${id}` }).waitFor()
  const before = (await askLab<Preview>('GET', `/v1/previews/${id}`)).expiresAt
  await page.getByText('Extend…').focus()
  for (const key of ['Enter', 'Tab']) await page.keyboard.press(key)
  await page.keyboard.type('1')
  for (const key of ['Tab', 'Enter']) await page.keyboard.press(key)
  await expect
    .poll(async () => (await askLab<Preview>('GET', `/v1/previews/${id}`)).expiresAt)
    .not.toBe(before)

  const press = async (label: string, button: string) => {
    await page.getByText(label, { exact: true }).click()
    await page.getByRole('button', { name: button }).click()
  }
  const stateIs = (state: string) =>
    page.locator('#state .mark').getByText(state).waitFor({ timeout: 60_000 })
  await press('Stop it…', 'Stop it')
  await stateIs('stopped')
  await page.getByText('Suspend it…').click()
  expect(await page.getByText('nothing is in its memory').isVisible()).toBe(true)
  await press('Start it…', 'Start it')
  await stateIs('ready')
  await ui.screenshot('preview-phone')
  await press('Destroy…', 'Destroy it')
  await stateIs('destroyed')
})
