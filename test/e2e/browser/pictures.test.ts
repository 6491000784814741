import { expect, test } from 'vitest'
import { flyControl } from '../../../lab/localfly/hostile-control.ts'
import { pageApp } from '../lab-actions.ts'
import { phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

test('an app shows where its time goes; two of its builds are compared', async () => {
  // BuildKit's linter finds MAINTAINER at line 2, which makes no step, and WORKDIR at line 4, which does.
  const lines = ['MAINTAINER me', 'RUN sleep 2', 'WORKDIR www']
  const first = await lab.submit('drawn', pageApp('one', ...lines))
  await lab.end(first)
  const second = await lab.submit('drawn', pageApp('two', ...lines))
  const { record } = await lab.end(second)
  const { cached = 0, run = 0 } = record.buildSteps ?? {}
  expect([cached > 0, run > 0]).toEqual([true, true])
  await lab.end(await lab.submit('drawn', pageApp('three', 'RUN exit 4')))

  // Two looks: a rate needs both.
  for (let look = 0; look < 2; look++) await flyControl(lab.flyControl).scrape()

  await using ui = await openPage()
  const { page } = ui
  const part = (name: string) => page.getByRole('region', { name, exact: true })
  await page.goto('/ui/apps/drawn')
  const used = part('Memory and CPU')
  await used.getByRole('img', { name: /^Memory: .* of 512 MiB now/ }).waitFor()
  await used.getByRole('img', { name: /^CPU: [\d.]+ % now/ }).waitFor()
  const times = part('Where the time goes')
  await times.getByRole('img', { name: /#1 to #3.*1 of 3 failed/ }).waitFor()
  await times.getByText('The numbers').click()
  await times.getByRole('row', { name: /#1 .*live.* s.* s/ }).waitFor()
  await part('Builds')
    .getByRole('img', { name: /came from the cache/ })
    .waitFor()
  await part('Builds').getByText('The numbers').click()
  await ui.screenshot('pictures-app')
  await ui.assertAccessible()

  await part('Builds').getByRole('link', { name: 'with #1' }).click()
  await page.getByRole('heading', { level: 1, name: 'From #1 to #2' }).waitFor()
  expect(await part('What changed').innerText()).toMatch(/Source: .* before, .* now/)
  expect(await part('What changed').innerText()).toContain('The first step that ran')
  expect(await part('Steps').innerText()).toContain('RUN sleep 2')
  expect(await part('Layers').innerText()).toMatch(/New ones: \d+, with .*COPY index\.html/s)
  await ui.screenshot('pictures-compare')
  await ui.assertAccessible()

  await page.goto(`/ui/deployments/${first}`)
  await page.getByRole('link', { name: 'Steps, layers and warnings' }).click()
  expect(await part('Steps').innerText()).toMatch(/The longest: .*RUN, 2\.\d s/)
  expect(await part('Layers').innerText()).toMatch(/The largest has .* MB/)
  const warnings = part('Warnings of the linter')
  expect(await warnings.innerText()).toMatch(/Dockerfile:2\s+Maintainer.*MAINTAINER me/s)
  await warnings.getByRole('link', { name: 'WORKDIR www' }).click()
  expect(await page.locator(':target').innerText()).toContain('WORKDIR www')
  await ui.screenshot('pictures-build')
  await ui.assertAccessible()
})

test('pictures read on a phone, in the dark, without JavaScript', async () => {
  const ids = []
  for (const text of ['one', 'two']) ids.push(await lab.submit('narrow', pageApp(text)))
  for (const id of ids) await lab.end(id)
  await using ui = await openPage({ ...phone, javaScriptEnabled: false })
  const pages = {
    'pictures-app': '/ui/apps/narrow',
    'pictures-build': `/ui/deployments/${ids[0]}/build`,
    'pictures-compare': `/ui/compare?a=${ids[0]}&b=${ids[1]}`,
  }
  for (const [name, path] of Object.entries(pages)) {
    await ui.page.goto(path)
    await ui.screenshot(`${name}-phone-dark`)
  }

  await using small = await openPage(phone)
  for (const path of Object.values(pages)) {
    await small.page.goto(path)
    expect(await small.page.evaluate('document.documentElement.scrollWidth')).toBe(360)
    await small.assertAccessible()
  }
})
