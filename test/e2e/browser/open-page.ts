/** The shared lab and browser, and a page in it, for one test. */
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { expect, inject } from 'vitest'
import { actionsOn } from '../lab-actions.ts'

const artefacts = join(import.meta.dirname, '../../../test-artefacts')
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** The lab that all files share: each test uses apps of its own. */
export const lab = { ...inject('lab'), ...actionsOn(inject('lab')) }

let browser: Promise<Browser> | undefined

type Options = BrowserContextOptions & {
  /** Of the caller. Default: the operator's. */
  token?: string
  /** Errors that the test causes: texts of the console, or `401 /ui/apps`. */
  expected?: RegExp
}

/**
 * Opens a page of a caller who has logged in. Disposing it fails the test if the page wrote an
 * error, opened a dialog, asked another host, or got an answer that it did not expect.
 */
export async function openPage({ token, expected, ...options }: Options = {}) {
  browser ??= chromium.connect(inject('browser'))
  const context = await (
    await browser
  ).newContext({
    baseURL: lab.gateway,
    viewport: { width: 1200, height: 900 },
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    ...options,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  const own = options.baseURL ?? lab.gateway
  const problems = noteProblems(page, own)
  await logIn(page, token)
  return {
    page,
    context,

    /** Keeps a picture in `test-artefacts/`. Look at each of them. */
    async screenshot(name: string): Promise<void> {
      mkdirSync(artefacts, { recursive: true })
      await page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: true })
    },

    /** Fails for what axe calls serious or critical. */
    async assertAccessible(): Promise<void> {
      await page.evaluate(axe)
      const { violations } = (await page.evaluate('axe.run()')) as AxeResults
      const serious = violations.filter(({ impact }) => /serious|critical/.test(impact ?? ''))
      expect(
        serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`),
      ).toEqual([])
    },

    async [Symbol.asyncDispose]() {
      await context.close()
      expect(problems.filter((each) => !expected?.test(each))).toEqual([])
    },
  }
}

/** Through the form, as a person does. */
export async function logIn(page: Page, token = lab.token, path = '/ui'): Promise<void> {
  await page.goto(path)
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Log in' }).click()
  // The form has the page's own address, so that says nothing.
  await page.getByLabel('Token').waitFor({ state: 'detached' })
}

/** `own`: the only origin that a page may ask. */
function noteProblems(page: Page, own: string): string[] {
  const problems: string[] = []
  page.on('console', (message) => {
    // Chromium writes each failed answer to the console too: see below.
    const isAnswer = message.text().startsWith('Failed to load resource: the server responded')
    if (/error|warning/.test(message.type()) && !isAnswer) problems.push(message.text())
  })
  page.on('pageerror', (error) => problems.push(error.stack ?? error.message))
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.protocol !== 'data:' && url.origin !== own) problems.push(`request to ${request.url()}`)
  })
  page.on('response', (answer) => {
    const { pathname } = new URL(answer.url())
    // A stranger gets the login at the page's own address.
    const isLogin = answer.status() === 401 && answer.request().isNavigationRequest()
    if (answer.status() >= 400 && !isLogin) problems.push(`${answer.status()} ${pathname}`)
  })
  return problems
}
