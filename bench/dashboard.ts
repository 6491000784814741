import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { chromium, type Page } from 'playwright-core'
import type { StreamMessage } from '../api/event-stream.ts'
import { fill, routes } from '../api/routes.ts'
import { type Lab, startLab } from '../lab/start-lab.ts'
import { assetBytes, dashboardCookie, firstPage } from './first-page.ts'
import type { Followed } from './followers-process.ts'
import type { Measure } from './measure.ts'
import { heard, quantile, startReaders } from './readers.ts'
import { ask, deployTalker, memoryMiB } from './talker.ts'

const about = 'many viewers of one live deployment: [--viewers 500] [--seconds 60]'
const goal = { p99Ms: 500, gatewayMiB: 300, firstPage: 3, assetBytes: 100_000 }
const options = {
  viewers: { type: 'string', default: '500' },
  seconds: { type: 'string', default: '60' },
  port: { type: 'string', default: '8451' },
  dir: { type: 'string', default: '.lab-bench' },
} as const

/**
 * A build step prints four lines a second. One viewer is a browser with the page of its deployment; the
 * others read the same stream as the page does. The measured time is from the event's own time to its
 * arrival at each reader, and to its line in the page. Before them, a first page is compared with a static
 * page of its size.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({ args, options })
  const [viewers, seconds] = [Number(values.viewers), Number(values.seconds)]
  await using lab = await startLab({
    dir: values.dir,
    port: Number(values.port),
    fresh: true,
    say: (line) => console.log(line),
  })
  const id = await deployTalker(lab, 'bench-dashboard')
  const pages = await firstPages(lab, id)
  const readers = startReaders({
    port: Number(new URL(lab.gateway).port),
    target: { token: lab.token, id },
    readers: viewers - 1,
    from: '127.0.1.1',
  })
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox'], // a machine of CI runs as root
  })
  try {
    await heard(readers)
    const page = await openPage(lab, await browser.newPage(), id)
    console.log(
      `  ${viewers} viewers are there; the gateway has ${await memoryMiB(lab, 'VmRSS')} MiB`,
    )
    readers.send('measure')
    const shown = await shownTimes(page, seconds)
    readers.send('measured')
    await sleep(1000)
    const gatewayMiB = await memoryMiB(lab, 'VmHWM')
    const end = heard(readers) as Promise<Followed>
    await ask(lab, fill(routes.cancel, { id }), 'POST')
    const followed = await end
    const delivered = followed.timesMs.reduce((all, count) => all + count, 0)
    const pageMs = await delays(lab, id, shown)

    const facts = {
      viewers,
      seconds,
      delivered,
      p50Ms: quantile([followed], 0.5 * delivered),
      p99Ms: quantile([followed], 0.99 * delivered),
      linesInPage: pageMs.length,
      pageP50Ms: at(pageMs, 0.5),
      pageP99Ms: at(pageMs, 0.99),
      gaps: followed.gaps,
      lost: viewers - 1 - followed.ends.length,
      gatewayMiB,
    }
    const worstMs = Math.max(facts.p99Ms, facts.pageP99Ms)
    const isWhole = facts.gaps + facts.lost === 0 && pageMs.length > 2 * seconds
    return [
      {
        bench: 'dashboard',
        ratio: Math.round((worstMs / goal.p99Ms) * 1000) / 1000,
        goal: 1,
        ok: worstMs <= goal.p99Ms && isWhole && gatewayMiB <= goal.gatewayMiB,
        ...facts,
      },
      pages,
    ]
  } finally {
    readers.kill()
    await browser.close()
  }
}

/** Home and the page of the deployment, before anybody else looks. */
async function firstPages(lab: Lab, id: string): Promise<Measure> {
  const cookie = await dashboardCookie(lab)
  const paths = ['/ui', `/ui/deployments/${id}`]
  const home = await firstPage(lab, cookie, paths[0]!)
  const deployment = await firstPage(lab, cookie, paths[1]!)
  const bytes = await assetBytes(lab, cookie, [...paths, '/ui/apps/bench-dashboard', '/ui/builder'])
  const ratio = Math.max(home.ratio, deployment.ratio)
  return {
    bench: 'dashboard: first page',
    ratio,
    goal: goal.firstPage,
    ok: ratio <= goal.firstPage && bytes < goal.assetBytes,
    home,
    deployment,
    assetBytes: bytes,
  }
}

/** Logs in, and waits until the page of the deployment shows its newest lines. */
async function openPage(lab: Lab, page: Page, id: string): Promise<Page> {
  await page.goto(`${lab.gateway}/ui`)
  await page.getByLabel('Token').fill(lab.token)
  await page.keyboard.press('Enter')
  await page.getByLabel('Token').waitFor({ state: 'detached' }) // the form has the page's own address
  await page.goto(`${lab.gateway}/ui/deployments/${id}`)
  await page.locator('.log-space .line').first().waitFor()
  return page
}

/** When each line came into the page, by its text. In the page, so as a text: it has no types here. */
const shownTimes = (page: Page, seconds: number): Promise<Record<string, number>> =>
  page.evaluate(`new Promise((resolve) => {
    const shown = {}
    const observer = new MutationObserver((changes) => {
      for (const { addedNodes } of changes)
        for (const row of addedNodes) {
          const text = row.querySelector?.(':scope > span')?.textContent ?? ''
          if (/^line \\d+$/.test(text)) shown[text] ??= Date.now()
        }
    })
    observer.observe(document.querySelector('.log-space'), { childList: true })
    setTimeout(() => resolve(shown), ${seconds * 1000})
  })`)

/** How long after its event each line was in the page, in order. */
async function delays(lab: Lab, id: string, shown: Record<string, number>): Promise<number[]> {
  const events = (await (await ask(lab, `${fill(routes.events, { id })}?only=log`)).text()).trim()
  const times = events.split('\n').flatMap((line) => {
    const event = JSON.parse(line) as StreamMessage
    if (event.type !== 'log') return []
    const texts = event.text.trimEnd().split('\n')
    return texts.flatMap((text) => (text in shown ? [shown[text]! - Date.parse(event.at)] : []))
  })
  return times.toSorted((one, other) => one - other)
}

const at = (sorted: number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Infinity

export const dashboard = { about, run }
