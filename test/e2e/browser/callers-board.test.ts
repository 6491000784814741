import { expect, test } from 'vitest'
import { pageApp } from '../lab-actions.ts'
import { askLab, phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

const [own, other] = ['board-own', 'board-other']

test('a token is made, shown once, and logs in with its own rights, which the boards keep to', async () => {
  await lab.end(await lab.submit(own, pageApp('own')))
  await lab.end(await lab.submit(other, pageApp('other')))
  await using ui = await openPage()
  const { page } = ui
  await page.goto('/ui/callers')
  await page.getByText('Make a token…').click()
  await page.getByLabel('Name').first().fill('board-reader')
  await page.getByLabel('deploy', { exact: true }).first().uncheck()
  await page.getByLabel('read', { exact: true }).first().check()
  await page.getByLabel('Apps').first().fill(own)
  await ui.screenshot('callers')
  await ui.assertAccessible()
  await page.getByRole('button', { name: 'Make it' }).first().click()
  const secret = /TARMAC_TOKEN=(tmc_\w+)/.exec(await page.getByRole('main').innerText())![1]!

  await using reader = await openPage({
    ...phone,
    token: secret,
    expected: /403 \/ui\/builder\/doctor/,
  })
  const textOf = async (path: string) => {
    await reader.page.goto(path)
    return reader.page.getByRole('main').innerText()
  }
  expect(await textOf('/ui/audit')).toContain('This needs the scope admin')
  const callers = await textOf('/ui/callers')
  expect(callers.match(/This needs the scope admin/g)?.length).toBeGreaterThan(0)
  const builder = await textOf('/ui/builder')
  expect(builder).toContain('Build cache by app')
  expect(builder).not.toContain(other)
  await reader.screenshot('builder-limited-phone')
  await reader.page.getByRole('button', { name: 'Run the doctor' }).click()
  await reader.page.getByText('This needs the scope admin; token:board-reader has read.').waitFor()

  await page.goto('/ui/callers')
  await page.getByRole('link', { name: 'board-reader' }).click()
  await page.getByText('Revoke…').click()
  await page.getByRole('button', { name: 'Revoke it' }).click()
  await page.getByRole('heading', { name: 'board-reader' }).getByText('revoked').waitFor()
  expect(await textOf('/ui/queue')).toContain('was revoked')
})

test('a team gets a member and an app, without JavaScript', async () => {
  await using ui = await openPage({ javaScriptEnabled: false })
  const { page } = ui
  await page.goto('/ui/callers')
  await page.getByText('Make a team…').click()
  await page.locator('form[action="/ui/callers/teams"]').getByLabel('Name').fill('board-team')
  await page.locator('form[action="/ui/callers/teams"]').getByRole('button').click()
  await page.getByRole('heading', { name: 'Team board-team' }).waitFor()
  await page.getByText('Add a member…').click()
  await page.getByLabel('Name').first().fill('token:ci')
  await page.getByRole('button', { name: 'Add a member' }).click()
  await page.getByText('token:ci').first().waitFor()
  await ui.screenshot('team')
  await askLab('DELETE', '/v1/teams/board-team')
})
