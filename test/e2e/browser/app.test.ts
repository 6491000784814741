import { expect, test } from 'vitest'
import { pageApp } from '../lab-actions.ts'
import { askLab } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

const change = (path: string, body: object) =>
  fetch(`${lab.gateway}/v1/apps/shown${path}`, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${lab.token}` },
    body: JSON.stringify(body),
  })

test('an app shows what it runs, what it ran, its names, its settings and who changed it', async () => {
  await lab.end(await lab.submit('shown', pageApp('one'), 'env.GREETING=hello'))
  await lab.end(await lab.submit('shown', pageApp('two'), 'env.GREETING=hi'))
  await lab.end(await lab.submit('shown', pageApp('three', 'RUN exit 4')))
  await change('', { lane: 'fifo' })
  await change('/runtime-secrets', { values: { API_KEY: 'a-very-secret-value' }, deploy: false })
  const [machine] = await lab.machines('shown')

  await using ui = await openPage()
  const { page } = ui
  await page.goto('/ui/apps/shown')
  const part = (name: string) => page.getByRole('region', { name, exact: true })
  expect(await part('What runs').innerText()).toMatch(/Release\s+2\s+●\s*healthy/)
  await part('Machines')
    .getByRole('row', { name: new RegExp(`${machine!.id}.*started`) })
    .waitFor()
  expect(await part('Deployments').getByRole('row').count()).toBe(4)
  expect(await part('Variables').innerText()).toMatch(/GREETING\s+hi\s+deployment/)
  expect(await part('Secrets').innerText()).toContain('API_KEY')
  expect(await page.content()).not.toContain('a-very-secret-value')
  expect(await part('Settings').innerText()).toContain('Its own: lane')
  expect(await part('Activity').innerText()).toMatch(/operator\s+submit/)
  await ui.screenshot('app')
  await ui.assertAccessible()

  await part('Releases').getByRole('link', { name: 'since release 1' }).click()
  await page.getByRole('row', { name: /env.app.GREETING hello hi/ }).waitFor()
  await ui.screenshot('release-diff')

  // One feed has all that changed the app.
  const { id } = await askLab<{ id: string }>('POST', '/v1/apps/shown/rollback')
  await lab.end(id)
  await askLab('POST', `/v1/apps/shown/machines/${machine!.id}/stop`)
  await page.goto('/ui/apps/shown')
  const feed = await part('Activity').innerText()
  for (const entry of [
    /machines\.change[^]*action stop/,
    /rollback/,
    /runtime\.changeSecrets/,
    /changeSettings[^]*lane/,
    /submit/,
  ])
    expect(feed).toMatch(entry)
})

test('the pages work by keyboard alone, dark and narrow', async () => {
  await lab.end(await lab.submit('keyed', pageApp('keyed')))
  await using ui = await openPage({ colorScheme: 'dark', viewport: { width: 360, height: 740 } })
  const { page } = ui
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter') // skips to the page
  const isFocused = () => page.evaluate(`document.activeElement.textContent === 'keyed'`)
  for (let at = 0; at < 200 && !(await isFocused()); at++) await page.keyboard.press('Tab')
  await ui.screenshot('home-phone-dark')
  const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
  expect([await isFocused(), outline]).toEqual([true, 'solid'])
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'keyed' }).waitFor()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  await ui.screenshot('app-phone-dark')
  await ui.assertAccessible()
})
