import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { pageApp } from '../lab-actions.ts'
import { openLine } from './open-line.ts'
import { lab, openPage } from './open-page.ts'

/** A step that prints lines, and one that fails in red. Each app has a step of its own, so none is cached. */
const failingApp = (name: string, ...before: string[]) =>
  pageApp(
    'fails',
    ...before,
    `RUN for n in $(seq 1 120); do echo "line $n of ${name}"; done`,
    String.raw`RUN echo before; printf '\033[31mred <b>cause</b>\033[0m of it\n' >&2; exit 3`,
  )

const box = (page: Page) => page.getByRole('region', { name: 'Lines of the log' })

test('the step that failed is open, with colours, and its line has a link that survives', async () => {
  const id = await lab.submit('log-failing', failingApp('failing'))
  await lab.end(id)
  await using ui = await openPage()
  const { page } = ui
  await page.goto(`/ui/deployments/${id}`)
  const log = box(page)
  await log.waitFor()
  const failed = log.locator('.heading', { hasText: 'exit 3' })
  expect(await failed.getByRole('button').getAttribute('aria-expanded')).toBe('true')
  const green = log.locator('.heading', { hasText: 'seq 1 120' }).getByRole('button')
  expect(await green.getAttribute('aria-expanded')).toBe('false')

  await page.getByRole('link', { name: /To the failure/ }).click()
  const cause = log.locator('.line.error', { hasText: 'red <b>cause</b> of it' })
  expect(await cause.locator('.f1').innerText()).toBe('red <b>cause</b>')
  await ui.screenshot('log-failed')
  await ui.assertAccessible()

  await green.click()
  await log.getByText('line 7 of failing').waitFor()
  const row = log.locator('.line', { hasText: 'line 7 of failing' })
  await row.getByRole('link').click()
  const link = page.url()
  expect(link).toMatch(/#s\d+L7$/)
  await page.goto('/ui')
  await page.goto(link)
  await log.locator('.line.selected', { hasText: 'line 7 of failing' }).waitFor()
  expect(await green.getAttribute('aria-expanded')).toBe('true')
})

test('search looks at all lines, also in closed steps', async () => {
  const id = await lab.submit('log-search', failingApp('search'))
  await lab.end(id)
  await using ui = await openPage()
  const { page } = ui
  await page.goto(`/ui/deployments/${id}`)
  await box(page).waitFor()
  await page.keyboard.press('Control+f')
  await page.keyboard.type('LINE 11')
  const found = page.locator('#log-found')
  await expect.poll(() => found.innerText()).toBe('11 lines') // 11, 110 to 119
  await page.keyboard.press('Enter')
  await page.keyboard.press('Enter')
  expect(await found.innerText()).toBe('2/11 lines')
  const selected = box(page).locator('.selected')
  await selected.getByText('line 110 of search').waitFor()
  expect(await selected.locator('mark').innerText()).toBe('line 11')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.press('Shift+Enter')
  await selected.getByText('line 119 of search').waitFor()
  await ui.screenshot('log-search')

  await page.getByRole('button', { name: 'Regular expression' }).click()
  await page.getByLabel('Search the log').fill('^line (7|8|12\\d) of')
  await expect.poll(() => found.innerText()).toBe('3 lines') // 7, 8 and 120
  await page.getByLabel('Search the log').fill('line (')
  await expect.poll(() => found.innerText()).toBe('no regular expression')

  await page.getByLabel('Times of lines').selectOption('elapsed')
  await box(page)
    .locator('.line .at', { hasText: /^\+[\d.]+ s$/ })
    .first()
    .waitFor()
  await page.reload()
  await box(page).locator('.line .at').first().waitFor() // as this browser had it last
  const [events] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'as NDJSON' }).click(),
  ])
  expect(events.suggestedFilename()).toBe('log-search-1.ndjson')

  await ui.context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.getByRole('button', { name: 'Copy' }).click()
  await expect.poll(() => found.innerText()).toMatch(/^\d+ lines copied$/)
  expect(await page.evaluate('navigator.clipboard.readText()')).toContain('red <b>cause</b> of it')

  const button = page.getByRole('button', { name: 'Full window' })
  const heightOf = async () => (await box(page).boundingBox())!.height
  const before = await heightOf()
  await button.click()
  await expect.poll(heightOf).toBeGreaterThan(before)
  await ui.screenshot('log-full-window')
  await ui.assertAccessible()
  // Nothing behind it takes the focus.
  for (let at = 0; at < 30; at++) {
    await page.keyboard.press('Tab')
    expect(
      await page.evaluate(
        'document.activeElement === document.body || document.querySelector("#log").contains(document.activeElement)',
      ),
    ).toBe(true)
  }
  await page.keyboard.press('Escape')
  await expect.poll(heightOf).toBe(before)
})

test('by keyboard alone on a phone: a step is closed and opened, and a line of it gets its link', async () => {
  const text = Array.from({ length: 30 }, (_, at) => `word${at}`).join(' ')
  const id = await lab.submit('log-keys', pageApp('keys', `RUN echo "${text}"; echo short; exit 5`))
  await lab.end(id)
  await using ui = await openPage({ viewport: { width: 360, height: 740 }, colorScheme: 'dark' })
  const { page } = ui
  await page.goto(`/ui/deployments/${id}`)
  const log = box(page)
  await log.waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type('word29')
  await expect.poll(() => page.locator('#log-found').innerText()).toMatch(/^[1-9]/)
  await page.keyboard.press('Enter')
  const line = log.locator('.line.selected')
  await line.waitFor()
  const heightOf = async () => (await line.boundingBox())!.height
  const wrapped = await heightOf()
  expect([wrapped > 60, wrapped % 20]).toEqual([true, 0])
  const cut = await line
    .locator('.text')
    .evaluate(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)
  expect(cut).toBe(0)
  await ui.screenshot('log-wrapped-phone-dark')

  const focused = () => page.evaluate('document.activeElement.closest("[data-group]")?.textContent')
  for (let at = 0; at < 12 && !(await focused()); at++) await page.keyboard.press('Tab')
  await page.keyboard.press('ArrowLeft')
  await expect.poll(focused).toMatch(/failed.*exit 5/)
  await page.keyboard.press('Enter')
  const heading = log.locator('.heading', { hasText: 'exit 5' }).getByRole('button')
  await expect.poll(() => heading.getAttribute('aria-expanded')).toBe('false')
  await page.keyboard.press('ArrowRight')
  await expect.poll(() => heading.getAttribute('aria-expanded')).toBe('true')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowDown')
  await expect.poll(focused).toMatch(/short$/)
  await page.keyboard.press('Enter')
  expect(new URL(page.url()).hash).toMatch(/^#s\d+L2$/)
  await log.locator('.line.selected', { hasText: 'short' }).waitFor()

  await page.getByRole('button', { name: 'Wrap' }).focus()
  await page.keyboard.press('Enter')
  const whole = log.locator('.line', { hasText: 'word29' }).first()
  await expect.poll(async () => (await whole.boundingBox())?.height).toBe(20)
  await ui.assertAccessible()
})

test('a stream that breaks goes on without a lost or doubled line', async () => {
  await using line = await openLine(lab.gateway)
  await using ui = await openPage({
    baseURL: line.url,
    expected: /ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE/,
  })
  const { page } = ui
  const ticks = 'RUN for n in $(seq 1 80); do echo "tick $n"; sleep 0.15; done'
  const id = await lab.submit('log-lost', pageApp('lost', ticks))
  await page.goto(`/ui/deployments/${id}`)
  await box(page)
    .getByText(/^tick \d/)
    .first()
    .waitFor()
  line.cut()
  await page.getByText('The connection to the gateway is lost').waitFor()
  await line.join()
  await page.getByText('The connection to the gateway is lost').waitFor({ state: 'hidden' })
  await page.getByRole('heading', { name: 'live' }).waitFor()
  await page.getByLabel('Search the log').fill('tick ')
  await expect.poll(() => page.locator('#log-found').innerText()).toBe('80 lines')
})

test('a log is followed until its reader scrolls up, and again from its end', async () => {
  await using ui = await openPage()
  const { page } = ui
  const ticks = 'RUN for n in $(seq 1 250); do echo "tick $n"; sleep 0.08; done'
  const id = await lab.submit('log-follow', pageApp('follow', ticks))
  const printed = (n: number) =>
    lab.seen(id, (event) => event.type === 'log' && `${event.text}\n`.includes(`tick ${n}\n`))
  await page.goto(`/ui/deployments/${id}`)
  const log = box(page)
  const follow = page.getByRole('button', { name: 'Follow' })
  await printed(80)
  await log
    .getByText(/^tick \d/)
    .first()
    .waitFor()
  expect(await follow.getAttribute('aria-pressed')).toBe('true')
  await ui.screenshot('log-following')

  await log.hover()
  await page.mouse.wheel(0, -300)
  await expect.poll(() => follow.getAttribute('aria-pressed')).toBe('false')
  const first = await firstLine(page)
  await printed(160)
  expect(await firstLine(page)).toBe(first)

  await page.mouse.wheel(0, 100_000)
  await expect.poll(() => follow.getAttribute('aria-pressed')).toBe('true')
  await log
    .getByText(/^tick 2\d\d$/)
    .first()
    .waitFor()
})

/** The line at the upper edge of the box. */
const firstLine = (page: Page): Promise<string> =>
  box(page).evaluate((element) => {
    const { left, top } = element.getBoundingClientRect()
    return (
      (element.ownerDocument.elementFromPoint(left + 200, top + 8)?.textContent ?? '') || 'nothing'
    )
  })

test('without JavaScript the log reads by step, and each part of it has an address', async () => {
  const id = await lab.submit('log-plain', failingApp('plain', 'MAINTAINER me'))
  await lab.end(id)
  await using ui = await openPage({
    javaScriptEnabled: false,
    viewport: { width: 360, height: 740 },
    colorScheme: 'dark',
  })
  const { page } = ui
  await page.goto(`/ui/deployments/${id}`)
  const steps = page.locator('#log-text details')
  await steps.filter({ hasText: 'exit 3' }).getByText('red <b>cause</b>', { exact: true }).waitFor()
  const building = steps.filter({ has: page.locator('#state-building') })
  await building.getByText(/^warning: Dockerfile:2: .*MaintainerDeprecated/).waitFor()
  const green = steps.filter({ hasText: 'seq 1 120' })
  expect(await green.getAttribute('open')).toBe(null)
  await green.locator('summary').click()
  await green.getByText('line 120 of plain').waitFor()
  await ui.screenshot('log-plain-phone-dark')
})
