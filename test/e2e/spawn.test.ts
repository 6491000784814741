import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { removeBridge } from '../../lab/parts/bridge.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

const own = {
  TARMAC_BUILD_BRIDGE: 'tarmac-own',
  TARMAC_BUILD_SUBNET: '10.230.77.0/24',
  TARMAC_BUILD_ROOT: '',
}
/** The gateway pushes through the lab’s mirror, as on Fly. */
const pushes = { TARMAC_PUSH_MIRROR: 'lab' }
const limits = { TARMAC_STEP_MEMORY: '512', TARMAC_STEP_PROCESSES: '300' }
let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_BUILDKIT: 'spawn', ...own, ...limits, ...pushes }),
  (fresh) => {
    lab = fresh
    // The rules stay when a gateway ends, and nothing else of the lab names this bridge.
    lab.closing.defer(() =>
      removeBridge({ name: own.TARMAC_BUILD_BRIDGE, subnet: own.TARMAC_BUILD_SUBNET }),
    )
  },
)

test('a gateway that supervises its own build daemon resumes a build whose daemon was killed', async () => {
  const id = await lab.submit('minded', pageApp('hello', 'RUN echo begun && sleep 4'))
  await lab.seen(id, (event) => event.type === 'log' && event.text.includes('begun'))
  process.kill(daemonPid(), 'SIGKILL')
  const { record, log } = await lab.end(id)
  expect(record).toMatchObject({ state: 'live', image: { push: { via: 'mirror' } } })
  const { mirror } = (await (await lab.ask('/v1/status')).json()) as { mirror: object }
  expect(mirror).toMatchObject({ state: 'up', pushes: { fallback: 0, registry: 0 } })
  expect(log).toContainEqual(
    expect.objectContaining({ type: 'warning', text: expect.stringContaining('Trying again in') }),
  )
  const summary = /^\d steps, \d cached, \d run, \d+\.\d s; image [\d.]+ MB, [\d.]+ MB new$/
  expect(log).toContainEqual(
    expect.objectContaining({ type: 'note', text: expect.stringMatching(summary) }),
  )

  const { parts } = (await (await lab.ask('/readyz')).json()) as { parts: object }
  expect(parts).toMatchObject({
    buildkit: { ok: true },
    disk: { ok: true, detail: expect.stringContaining('free') },
  })
  expect(await lab.page('minded')).toContain('hello')
})

const daemonPid = () =>
  (JSON.parse(readFileSync(join(lab.dir, 'gateway/buildkitd.json'), 'utf8')) as { pid: number }).pid

test.each([
  [
    'forks',
    'bomb() { bomb | bomb & bomb; }; bomb',
    'may have 300 processes and threads',
    { processLimit: 300 },
  ],
  [
    'eats',
    'while :; do tail /dev/zero & tail /dev/zero; done',
    '512 MiB of memory',
    { outOfMemory: true },
  ],
])(
  'a step that %s without end fails alone: an honest app goes live beside it, and the gateway and its daemon survive',
  async (does, script, words, facts) => {
    const pids = [lab.gatewayProcess.pid, daemonPid()]
    const hostile = await lab.submit(
      `hostile-${does}`,
      pageApp('never', `RUN echo begun; sleep 1; ${script}`),
    )
    await lab.seen(hostile, (event) => event.type === 'log' && event.text.includes('begun'))
    const honest = await lab.submit(
      `honest-${does}`,
      pageApp('honest', `RUN echo ${does} && sleep 1`),
    )
    expect((await lab.end(honest)).record.state).toBe('live')

    const { record } = await lab.end(hostile)
    expect(record).toMatchObject({
      state: 'build_failed',
      problem: { code: 'build-failed', fault: 'source', ...facts },
    })
    expect(record.problem?.detail).toContain(words)
    expect([lab.gatewayProcess.pid, daemonPid()]).toEqual(pids)
  },
)
