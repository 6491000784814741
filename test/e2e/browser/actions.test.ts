import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { heldApp } from '../held-step.ts'
import { pageApp } from '../lab-actions.ts'
import { askLab, phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

const idIn = (address: string) =>
  /\/ui\/deployments\/([\w-]+)$/.exec(new URL(address).pathname)![1]!
const makeToken = async (name: string, scope: string) =>
  (await askLab<{ token: string }>('POST', '/v1/tokens', { name, scopes: [scope] })).token
const deploymentsOf = (app: string) =>
  askLab<{ deployments: Deployment[] }>('GET', `/v1/apps/${app}/deployments`)

test('a running deployment is cancelled by the keyboard alone', async () => {
  const id = await lab.submit('act-cancel', heldApp('slow').files)
  await lab.seen(id, (event) => event.type === 'state' && event.state === 'building')
  await using ui = await openPage(phone)
  const { page } = ui
  await page.goto(`/ui/deployments/${id}`)
  await page.getByRole('link', { name: 'Cancel…' }).focus()
  await page.keyboard.press('Enter')
  await page.getByText('No machine has been changed').waitFor()
  await ui.screenshot('cancel-phone')
  await ui.assertAccessible()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  await page.getByRole('button', { name: 'Cancel it' }).focus()
  await page.keyboard.press('Enter')
  await page.locator('h1 .mark', { hasText: 'cancelled' }).waitFor()
  expect((await lab.end(id)).record).toMatchObject({
    state: 'cancelled',
    cancel: { by: 'operator', abort: false },
  })
  expect(await page.locator('#actions').innerText()).toContain('It has ended: cancelled.')
  await ui.screenshot('deployment-cancelled-phone')
})

test('a failed deployment is retried once, however often its form is sent', async () => {
  const failing = await lab.submit('act-retry', pageApp('fails', 'RUN exit 3'))
  await lab.end(failing)
  await using ui = await openPage({ javaScriptEnabled: false })
  const { page, context } = ui
  await page.goto(`/ui/deployments/${failing}`)
  await page.getByRole('link', { name: 'Rebuild…' }).click()
  await page.getByText('without anything cached').waitFor()
  await ui.screenshot('rebuild')
  const fields = await page
    .locator('main form input')
    .evaluateAll((all) =>
      all.map((each) => [each.getAttribute('name')!, each.getAttribute('value')!]),
    )
  const again = () =>
    context.request.post(page.url(), {
      form: Object.fromEntries(fields),
      headers: { origin: lab.gateway },
      maxRedirects: 0,
    })
  const [one, two] = await Promise.all([again(), again()])
  await page.getByRole('button', { name: 'Rebuild' }).click()
  const id = idIn(page.url())
  for (const answer of [one, two])
    expect([answer.status(), answer.headers()['location']]).toEqual([303, `/ui/deployments/${id}`])
  const { record } = await lab.end(id)
  expect(record).toMatchObject({ retryOf: failing, number: 2, options: { rebuild: true } })
  expect((await deploymentsOf('act-retry')).deployments).toHaveLength(2)
})

test('a release comes back, goes elsewhere, and its machine stops and starts', async () => {
  await lab.end(await lab.submit('act-back', pageApp('first')))
  await lab.end(await lab.submit('act-back', pageApp('second'), 'env.GREETING=hi'))
  await using ui = await openPage()
  const { page } = ui
  await page.goto('/ui/apps/act-back')
  await ui.screenshot('app-actions')
  await page.getByRole('link', { name: 'Roll back to release 1…' }).click()
  await page.getByRole('row', { name: /GREETING.* hi/ }).waitFor()
  await ui.screenshot('rollback')
  await ui.assertAccessible()
  await page.getByRole('button', { name: 'Roll back to release 1' }).click()
  await page.waitForURL(/\/ui\/deployments\//)
  const { record } = await lab.end(idIn(page.url()))
  expect(record).toMatchObject({ state: 'live', rollback: { from: 2, to: 1 } })
  expect(await lab.page('act-back')).toContain('first')

  await page.goto('/ui/apps/act-back')
  await page.getByRole('link', { name: 'Deploy release 3 elsewhere…' }).click()
  await page.getByLabel('App', { exact: true }).fill('act-else')
  await ui.screenshot('deploy-elsewhere')
  await page.getByRole('button', { name: 'Deploy it' }).click()
  await page.waitForURL(/\/ui\/deployments\//)
  expect((await lab.end(idIn(page.url()))).record).toMatchObject({ app: 'act-else', state: 'live' })
  expect(await lab.page('act-else')).toContain('first')

  const [machine] = await lab.machines('act-back')
  await page.goto('/ui/apps/act-back')
  for (const [action, became] of [
    ['Stop', 'stopped'],
    ['Start', 'started'],
  ] as const) {
    await page.getByText('Start or stop…').click()
    await page.getByRole('button', { name: `${action} ${machine!.id}`, exact: true }).click()
    await page.getByRole('status').getByText(`is ${became} now`).waitFor()
    expect((await lab.machines('act-back'))[0]!.state).toBe(became)
  }
})

test('a limited caller sees why it may not; forged forms do nothing; an ended session comes back to its form', async () => {
  const build = heldApp('limited')
  const id = await lab.submit('act-limit', build.files)
  await using reader = await openPage({ token: await makeToken('act-reader', 'read') })
  await reader.page.goto(`/ui/deployments/${id}`)
  const actions = await reader.page.locator('#actions').innerText()
  expect(actions).toContain('This needs the scope deploy; token:act-reader has read.')
  expect(await reader.page.getByRole('button', { name: 'Cancel…' }).isDisabled()).toBe(true)
  await reader.screenshot('actions-forbidden')
  await reader.page.goto('/ui/apps/act-limit')
  expect(await reader.page.locator('#actions').innerText()).toContain('needs the scope deploy')

  const token = await makeToken('act-deployer', 'deploy')
  await using ui = await openPage({ token, expected: /^40[13]/ })
  const { page, context } = ui
  const address = `/ui/deployments/${id}/cancel`
  await page.goto(address)
  const key = await page.locator('main input[name=form-key]').getAttribute('value')
  const send = async (form: Record<string, string>, origin: string) =>
    (await context.request.post(address, { form, headers: { origin }, maxRedirects: 0 })).status()
  expect(await send({ 'form-key': 'guessed' }, lab.gateway)).toBe(403)
  expect(await send({ 'form-key': key! }, 'http://evil.example')).toBe(401)
  expect((await lab.deployment(id)).cancel).toBeNull()

  await askLab('DELETE', '/v1/tokens/act-deployer')
  await page.getByRole('button', { name: 'Cancel it' }).click()
  await page.getByText('The token act-deployer was revoked').waitFor()
  await page.getByLabel('Token').fill(lab.token)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('heading', { name: /^Cancel act-limit/ }).waitFor()
  expect(new URL(page.url()).pathname).toBe(address)
  await build.release()
  await lab.end(id)
})
