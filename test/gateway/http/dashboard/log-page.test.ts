import { expect, test } from 'vitest'
import type { NewEvent } from '../../../../api/event.ts'
import { hostileTexts } from '../../../hostile-text.ts'
import { startHttp } from '../start-http.ts'

/** The page of a deployment whose only step prints these lines. */
async function pageOf(lines: string[], query = '') {
  await using http = await startHttp()
  await http.create()
  const output: NewEvent[] = Array.from({ length: Math.ceil(lines.length / 100) }, (_, at) => ({
    type: 'log',
    step: 'a',
    stream: 'stdout',
    text: lines.slice(100 * at, 100 * at + 100).join('\n'),
  }))
  const { id } = await http.play([
    ['analyzing'],
    ['building'],
    { type: 'step', step: 'a', name: '[1/2] RUN make', status: 'started' },
    ...output,
    { type: 'step', step: 'a', name: '[1/2] RUN make', status: 'done', ms: 1200 },
  ])
  return (await http.get(`/ui/deployments/${id}${query}`, { accept: 'text/html' })).text()
}

const numbers = (page: string) =>
  [...page.matchAll(/ id="s5L(\d+)"/g)].map(([, number]) => Number(number))

test('a page has the last lines of a long log, and the way to those before', async () => {
  const lines = Array.from({ length: 5000 }, (_, at) => `line ${at + 1}`)
  const page = await pageOf(lines)
  expect(numbers(page)[0]).toBe(4001)
  expect(numbers(page)).toHaveLength(1000)
  expect(page).toContain('4,000 lines are not on this page')
  expect(page).toContain('href="?step=5&amp;from=1#s5L1"')
  expect(page).toContain('href="?step=5&amp;from=2001#s5L4000"')

  const first = await pageOf(lines, '?step=5&from=1')
  expect([numbers(first)[0], numbers(first).at(-1)]).toEqual([1, 2000])
  expect(first).toContain('>line 2000</span')
  expect(first).toContain('href="?step=5&amp;from=2001#s5L2001"')
  expect(first).toContain('3,000 more lines')
})

test.each([
  '?step=0',
  '?step=99',
  '?step=5&from=x',
  '?step=5&from=99999999',
  '?step=1e9',
  '?step=-1',
])('the address %s shows a page', async (query) =>
  expect(await pageOf(['one'], query)).toContain('[1/2] RUN make'),
)

test('a line of a million characters is cut, and the download has the rest', async () => {
  const page = await pageOf(['x'.repeat(1_000_000)])
  expect(page.length).toBeLessThan(50_000)
  expect(page).toContain('996000 more characters')
})

test('nothing that a line has becomes markup', async () => {
  const lines = [
    ...hostileTexts,
    '<script>alert(1)</script>',
    '</span><img src=x onerror=alert(1)>',
  ]
  const page = await pageOf(lines.map((line) => line.replaceAll('\n', ' ')))
  expect(page).not.toMatch(/<script>alert|<img/)
  // oxlint-disable-next-line no-control-regex -- none of them may be there
  expect(page).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/)
})
