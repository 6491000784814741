import { expect, test } from 'vitest'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_AWAY_TIMEOUT: '3' }),
  (fresh) => void (lab = fresh),
)

test.each([
  ['buildkitd', 'buildkit-unavailable', 'The build daemon'],
  ['registry', 'registry-unavailable', 'The registry'],
] as const)('a %s that stays unavailable ends in 503 and %s', async (part, code, words) => {
  await lab.stop(part)
  const answer = await lab.put('unlucky', 'wait=true', pageApp('unlucky', `RUN echo ${part}`))
  expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining(words)])
  const { record, log } = await lab.end(answer.headers.get('Location')!.split('/').at(-1)!)
  expect(record).toMatchObject({ state: 'build_failed', problem: { code, retry: true } })
  expect(log.filter(({ type }) => type === 'warning').length).toBeGreaterThan(0)

  const ready = await lab.ask('/readyz')
  if (part === 'buildkitd')
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('buildkit')])
  await lab.start(part)
  await expect
    .poll(async () => (await fetch(`${lab.gateway}/readyz`)).status, { timeout: 10_000 })
    .toBe(200)
  expect(
    (await lab.put('unlucky', 'wait=true', pageApp('unlucky', `RUN echo ${part}`))).status,
  ).toBe(200)
})
