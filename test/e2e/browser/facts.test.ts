import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { quicklyChecked } from '../../../lab/use-lab.ts'
import type { Files } from '../lab-actions.ts'
import { askLab, phone } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

/** Says what it does, and has a check that passes at `/` alone. */
const app = (path: string, files: Files, ...lines: string[]): Files => ({
  Dockerfile: [
    'FROM alpine',
    'RUN echo facts && sleep 1',
    ...lines,
    'COPY . /www/',
    `CMD echo "listening at ${path}"; exec httpd -f -p 8080 -h /www`,
  ].join('\n'),
  'fly.toml': `${quicklyChecked(path)}[deploy]\nwait_timeout = "5s"\n`,
  ...files,
})

test('a deployment says who asked, what changed since the last live one, what the cache saved, and how each machine was', async () => {
  const run = 'https://github.com/acme/facts/actions/runs/7'
  const query = `trigger=ci&ci-run=${encodeURIComponent(run)}`
  const first = await lab.submit(
    'facts',
    app('/', { 'index.html': 'one', 'old.txt': 'old' }),
    query,
  )
  await lab.end(first)
  const files = { 'index.html': 'two, longer', 'src/new.txt': 'new' }
  const second = await lab.submit('facts', app('/missing', files, 'ENV NEW=1'), query)
  const { record } = await lab.end(second)
  expect(record).toMatchObject({
    state: 'deploy_failed',
    buildSteps: { cached: expect.any(Number) },
  })

  await using ui = await openPage()
  const { page } = ui
  await page.goto(`/ui/deployments/${second}`)
  const facts = page.getByRole('region', { name: 'Facts' })
  const said = await facts.innerText()
  expect(said).toMatch(/Asked for by\s+operator, by ci/)
  expect(said).toMatch(/From\s+(127\.0\.0\.1|::1)/)
  expect(said).toMatch(/Files changed\s+1 added .*, 3 changed .*, 1 removed .*, since #1/)
  expect(said).toMatch(/Plan changed\s+no · compare with #1/)
  expect(said).toMatch(/Cache\s+\d+ of \d+ steps \(\d+ %\), which took [1-9].* when they ran last/)
  expect(said).toMatch(/Cost\s+[\d.]+ machine-seconds/)
  const link = facts.getByRole('link', { name: 'github.com/acme/facts/actions/runs/7' })
  expect(await link.getAttribute('href')).toBe(run)

  const machine = record.machines[0]!
  const machines = page.getByRole('region', { name: 'Machines' })
  const row = machines.getByRole('row', { name: new RegExp(machine.id) })
  const cells = await row.getByRole('cell').allInnerTexts()
  expect(cells[1]).toContain('rolled back')
  expect(cells[2]).toMatch(/started.*passing/s) // before
  expect(cells[3]).toMatch(/started.*critical.*404/s) // tried
  expect(cells[4]).toMatch(/started.*passing/s) // after
  expect(cells[5]).toMatch(/\d+ events?.*UTC|\d+ events?.*start/s)
  expect(cells[5]).toContain('listening at /missing')
  await ui.screenshot('facts-failed')
  await ui.assertAccessible()

  const [source] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download the source' }).click(),
  ])
  expect(source.suggestedFilename()).toBe('facts-2-source.tar')
  const path = join(lab.dir, 'facts.tar')
  await source.saveAs(path)
  const listed = execFileSync('tar', ['tf', path], { encoding: 'utf8' })
  expect(listed.split('\n').filter((each) => each && !each.endsWith('/'))).toEqual([
    'Dockerfile',
    'fly.toml',
    'index.html',
    'src/new.txt',
  ])

  await facts.getByRole('link', { name: 'list' }).click()
  await page.getByRole('row', { name: /old\.txt.*removed/ }).waitFor()
  await page.getByRole('row', { name: /src\/new\.txt.*added/ }).waitFor()
  await ui.screenshot('facts-files')
  await ui.assertAccessible()

  await using small = await openPage(phone)
  for (const part of ['', '/files']) {
    await small.page.goto(`/ui/deployments/${second}${part}`)
    expect(await small.page.evaluate('document.documentElement.scrollWidth')).toBe(360)
    await small.screenshot(`facts${part.replace('/', '-')}-phone-dark`)
    await small.assertAccessible()
  }
})

test('a reader sees what changed, but gets no source, and the refusal names the right that it needs', async () => {
  const id = await lab.submit('facts-read', app('/', { 'index.html': 'one' }), 'deploy=false')
  await lab.end(id)
  const { token } = await askLab<{ token: string }>('POST', '/v1/tokens', {
    name: 'facts-reader',
    scopes: ['read'],
  })
  await using ui = await openPage({ token, javaScriptEnabled: false })
  const { page } = ui
  await page.goto(`/ui/deployments/${id}`)
  await page.getByText('all are new: no source of this target was live before').waitFor()
  expect(await page.getByRole('button', { name: 'Download the source' }).isDisabled()).toBe(true)
  await page
    .getByText(/scope .?deploy/)
    .first()
    .waitFor()
})
