import { expect, test as each } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { FakeFly } from '../../../fakes/machines-api.ts'
import { deployed, digest, refused } from '../deployed.ts'

const test = each.concurrent
const http = '[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\n'
const words = ['reading config', 'DATABASE_URL is not set']

async function failing(fly: FakeFly, more: Parameters<typeof deployed>[1] = {}) {
  const log: NewEvent[] = []
  const emit = (event: NewEvent) => void log.push(event)
  const problem = await refused(deployed(fly, { flyToml: http, emit, ...more }))
  return { problem, log }
}

test('a program that crashes leaves its last lines in the log and the problem, before it is removed', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'crashes')
  fly.printed = () => words.map((message) => ({ message }))
  const { problem, log } = await failing(fly)
  const id = problem.facts['machine'] as string
  expect(problem.facts).toMatchObject({
    lastLines: words,
    logCommand: `fly logs --app web --machine ${id}`,
  })
  expect(problem.message).toContain(
    `Machine ${id} crashed: its process ended by itself with exit code 7. Its log: fly logs --app web --machine ${id}.`,
  )

  const shown = log.flatMap((event) =>
    event.type === 'machine' ? [event.status] : event.type === 'log' ? [event.text] : [],
  )
  const end = ['failed', words.join('\n'), 'rolling_back', 'removed']
  expect(shown.slice(-4)).toEqual(end)
})

test('a preview that crashes names no command for its log: its app is deleted', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'crashes')
  fly.printed = () => words.map((message) => ({ message }))
  const expiresAt = new Date(Date.now() + 60_000).toISOString()
  const preview = { id: 'pv-1', app: 'web', owner: 'ada', template: null, expiresAt }
  const { problem } = await failing(fly, { preview })
  expect(problem.message).toMatch(/ended by itself with exit code 7\. 1 new machine was removed\.$/)
  expect(problem.facts['lastLines']).toEqual(words)
  expect(problem.facts).not.toHaveProperty('logCommand')
})

test('lines that come late are waited for, and none at all is said', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'crashes')
  let looks = 0
  fly.printed = () => (++looks > 2 ? [{ message: 'late' }] : [])
  const late = await failing(fly, { logWaitMs: 5000 })
  expect(late.problem.facts['lastLines']).toEqual(['late'])

  fly.printed = () => []
  const silent = await failing(fly, { logWaitMs: 100 })
  expect(silent.problem.message).toContain(
    "Fly's log has shown nothing that it printed within 0.1 s. Look again later (fly logs --app web",
  )
  expect(silent.problem.facts).not.toHaveProperty('lastLines')
})

test('a token that may not read logs is said, with the command', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'crashes')
  fly.printed = null
  const { problem } = await failing(fly, { logWaitMs: 5000 })
  expect(problem.message).toMatch(
    /What it printed is not here: Fly does not let the gateway's token read logs \(deploy tokens may not\)\. See its log \(fly logs --app web --machine \w+\)\./,
  )
})

test('what a failure saves for the rollback holds no secret', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'crashes')
  fly.printed = () => [{ message: 'token hunter2' }]
  const reasons: unknown[] = []
  const kept = async ({ rollbackReason }: { rollbackReason: unknown }) =>
    void reasons.push(rollbackReason)
  const redact = <T>(value: T): T =>
    JSON.parse(JSON.stringify(value).replaceAll('hunter2', '***')) as T
  await failing(fly, { kept, redact })
  expect(JSON.stringify(reasons)).toContain('token ***')
  expect(JSON.stringify(reasons)).not.toContain('hunter2')
})

test('while a check fails, the log says the result, the time left, what listens and what was printed', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'check-fails')
  fly.processes = [{ command: 'node a.js', listen_sockets: [{ address: '127.0.0.1:3000' }] }]
  fly.printed = () => words.map((message) => ({ message }))
  const { problem, log } = await failing(fly, { waitMs: 1500 })

  const checking = log.filter((event) => event.type === 'machine' && event.status === 'checking')
  expect(checking).toMatchObject([
    {},
    {
      text: expect.stringMatching(
        /^check servicecheck-00 is critical: connection refused; Users cannot reach it: no program listens on 0\.0\.0\.0:8080\. What listens instead: node a\.js on 127\.0\.0\.1:3000\..*; [12] s left$/,
      ),
    },
  ])
  expect(log.filter(({ type }) => type === 'log')).toMatchObject([{ text: words.join('\n') }])
  expect(problem.message).toContain('node a.js on 127.0.0.1:3000')
  expect(problem.message).not.toContain('PORT')
})

test('a check without a result names its grace period', async () => {
  await using fly = await FakeFly.start()
  const flyToml = `${http}grace_period = "5m"\n`
  fly.natures.set(digest(1), 'checks-late')
  const { problem } = await failing(fly, { flyToml, waitMs: 300 })
  expect(problem.message).toContain(
    'check of the service has no result yet (its grace_period is 300 s)',
  )
})
