import { expect, test } from 'vitest'
import { phone } from './ask-lab.ts'
import { pageApp } from '../lab-actions.ts'
import { lab, openPage } from './open-page.ts'

test('an app shows where the time of its deployments goes', async () => {
  await lab.end(await lab.submit('drawn', pageApp('one', 'RUN sleep 2')))
  await lab.end(await lab.submit('drawn', pageApp('two', 'RUN sleep 2')))
  await lab.end(await lab.submit('drawn', pageApp('three', 'RUN exit 4')))

  await using ui = await openPage()
  const { page } = ui
  await page.goto('/ui/apps/drawn')
  const part = page.getByRole('region', { name: 'Where the time goes' })
  await part.getByRole('img', { name: /#1 to #3.*1 of 3 failed/ }).waitFor()
  expect(await part.locator('.failed').count()).toBe(2) // the column's, and the legend's
  await part.getByText('The numbers').click()
  await part.getByRole('row', { name: /#1 .*live.* s.* s/ }).waitFor()
  await ui.screenshot('pictures-app')
  await ui.assertAccessible()

  await using small = await openPage({ ...phone, javaScriptEnabled: false })
  await small.page.goto('/ui/apps/drawn')
  await small.screenshot('pictures-app-phone-dark')
})
