import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

const own = { TARMAC_BUILD_BRIDGE: 'tarmac-own', TARMAC_BUILD_SUBNET: '10.209.77.0/24', TARMAC_BUILD_ROOT: '' }
let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_BUILDKIT: 'spawn', ...own }),
  (fresh) => void (lab = fresh),
)

test('a gateway that minds its own build daemon takes up a build whose daemon was killed', async () => {
  const id = await lab.submit('minded', pageApp('hello', 'RUN echo begun && sleep 4'))
  await lab.seen(id, (event) => event.type === 'log' && event.text.includes('begun'))
  const { pid } = JSON.parse(readFileSync(join(lab.dir, 'gateway/buildkitd.json'), 'utf8')) as { pid: number }
  process.kill(pid, 'SIGKILL')
  const { record, log } = await lab.end(id)
  expect(record.state).toBe('live')
  expect(log).toContainEqual(
    expect.objectContaining({ type: 'warning', text: expect.stringContaining('Trying again in') }),
  )
  expect(log.flatMap((event) => (event.type === 'note' ? [event.text] : [])).at(-1)).toMatch(
    /^\d steps, \d cached, \d run, \d+\.\d s; image [\d.]+ MB, [\d.]+ MB new$/,
  )
  const { parts } = (await (await lab.ask('/readyz')).json()) as { parts: object }
  expect(parts).toMatchObject({ buildkit: { ok: true }, disk: { ok: true, detail: expect.stringContaining('free') } })
  expect(await lab.page('minded')).toContain('hello')
})
