import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import type { Rollout } from '#api/rollout.ts'
import { fill, routes } from '#api/routes.ts'
import { GatewayStatus } from '#api/status/status.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_RELEASE_LOOK: '0.5' }),
  (fresh) => void (lab = fresh),
)

/** Long enough for the gateway to become ready on a busy machine. */
const idleSeconds = 6

test('a detached rollout of 20 targets runs to its end without an open request; then the idle gateway stops', async () => {
  const first = await lab.end(await lab.submit('idle', pageApp('idle')))
  expect(first.record.state).toBe('live')
  await lab.start('gateway', { TARMAC_IDLE_STOP: String(idleSeconds) })
  const gateway = lab.gatewayProcess

  const source = { image: first.record.image!.reference }
  const targets = Array.from({ length: 20 }, (_, at) => ({ app: 'fleet', owner: `owner${at}` }))
  const answer = await fetch(lab.gateway + routes.rollouts, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ source, targets, parallel: 5 }),
  })
  expect(answer.status).toBe(202)
  const { id } = (await answer.json()) as Rollout
  const { awake } = GatewayStatus.parse(await (await lab.ask(routes.status)).json())
  expect(awake).toMatchObject({
    holds: expect.arrayContaining([{ name: 'rollouts', count: 1 }]),
    idleSince: null,
    idleStopSeconds: idleSeconds,
  })

  await gateway.exited // nobody asks meanwhile

  {
    using db = new DatabaseSync(join(lab.dir, 'gateway', 'tarmac.db'), { readOnly: true })
    const ended = db
      .prepare(
        `SELECT (julianday(ended_at) - julianday(created_at)) * 86400 AS seconds
         FROM rollouts WHERE id = ?`,
      )
      .get(id)!
    expect(Number(ended['seconds'])).toBeGreaterThan(idleSeconds)
    const states = db
      .prepare(`SELECT state, count(*) AS n FROM deployments WHERE app = 'fleet' GROUP BY state`)
      .all()
    expect(states.map(({ state, n }) => [state, n])).toEqual([['live', 20]])
  }
  await lab.start('gateway')
  const rollout = (await (await lab.ask(fill(routes.rollout, { id }))).json()) as Rollout
  expect(rollout.counts).toEqual({ live: 20 })
})
