import { expect, test } from 'vitest'
import type { Queue } from '#api/overview/queue.ts'
import { heldApp } from '../held-step.ts'
import { pageApp } from '../lab-actions.ts'
import { askLab } from './ask-lab.ts'
import { lab, openPage } from './open-page.ts'

test('the queue says when each may start and end, and what holds it up', async () => {
  const app = 'order-eta'
  await lab.end(await lab.submit(app, pageApp('before')))
  const held = heldApp('now')
  const first = await lab.submit(app, held.files, 'lane=fifo')
  const second = await lab.submit(app, pageApp('later'), 'lane=fifo')
  await lab.seen(first, (event) => event.type === 'state' && event.state === 'building')

  await using ui = await openPage()
  const { page } = ui
  await page.goto('/ui/queue')
  const running = page.getByRole('table', { name: 'Deployments that run' })
  const row = (number: number) => page.getByRole('row').filter({ hasText: `${app} #${number}` })
  await running.getByRole('link', { name: `${app} #2` }).waitFor()
  expect(await row(2).innerText()).toMatch(/in about \d|any moment/)
  expect(await row(3).innerText()).toMatch(/in its lane[^]*(in about \d|any moment)/)
  await ui.screenshot('queue')
  await ui.assertAccessible()
  await held.release()
  await Promise.all([first, second].map((id) => lab.end(id)))
})

test('an operator pauses the queue, lets one go first, and resumes it', async () => {
  await using ui = await openPage()
  const { page } = ui
  await page.goto('/ui/queue')
  // All files share this queue, so the pause is short, and ends if the test fails.
  try {
    await page.getByText('Pause the queue…').click()
    await page.getByLabel('Why').fill('a test <b>of</b> it')
    await page.getByRole('button', { name: 'Pause it' }).click()
    await page.getByText('a test <b>of</b> it').waitFor()
    const id = await lab.submit('order-first', pageApp('first'))
    const row = page.getByRole('row').filter({ hasText: 'order-first #1' })
    await row.getByText('an operator has paused it').waitFor()
    await row.getByText('Go first…').click()
    await ui.screenshot('queue-paused')
    await row.getByRole('button', { name: 'Let it go first' }).click()
    await row.locator('.mark').getByText('goes first').waitFor()
    const { entries } = await askLab<Queue>('GET', '/v1/queue')
    expect(entries.find((each) => each.id === id)).toMatchObject({
      movedUp: true,
      waiting: { for: 'paused', place: 1 },
    })
    await page.getByRole('button', { name: 'Resume the queue' }).click()
    await page.getByText('Pause the queue…').waitFor()
    expect((await lab.end(id)).record.state).toBe('live')
  } finally {
    await askLab('DELETE', '/v1/queue/pause')
  }
  const { entries } = await askLab<{ entries: { command: string }[] }>('GET', '/v1/audit')
  const commands = entries.map(({ command }) => command)
  expect(commands).toEqual(expect.arrayContaining(['queue.pause', 'queue.first', 'queue.resume']))
})
