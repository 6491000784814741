import { expect, test } from 'vitest'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { type NextCommands, renderRefusal, renderVerdict } from '#api/text/render-verdict.ts'

const commands: NextCommands = {
  log: (id) => `log ${id}`,
  retry: (id) => `retry ${id}`,
  rollback: (app, owner) => `rollback ${app}${owner ? ` of ${owner}` : ''}`,
}
type Ended = Parameters<typeof renderVerdict>[0]
const ended = (state: Ended['state'], more: Partial<Ended> = {}) =>
  renderVerdict(
    { id: 'd1', app: 'shop', state, url: null, image: null, problem: null, ...more },
    commands,
  ).split('\n')
const failed = (
  state: Ended['state'],
  code: ProblemCode,
  detail: string,
  facts: Record<string, unknown> = {},
) => ended(state, { problem: new Problem(code, detail, { facts }).body() })

test('a live end names its release, the command that undoes it, and last the address', () => {
  const url = 'http://shop.localhost/'
  expect(ended('live', { release: 9, url })).toEqual([
    '',
    'release 9 of shop; to undo it: rollback shop',
    'live: shop, deployment d1',
    url,
    '',
  ])
  expect(ended('live', { release: 9, owner: 'ada' })[1]).toBe(
    'release 9 of shop; to undo it: rollback shop of ada',
  )
  // There is nothing to go back to.
  expect(ended('live', { release: 1, url })).toEqual([
    '',
    'release 1 of shop',
    'live: shop, deployment d1',
    url,
    '',
  ])
})

test('a failure ends with the program’s last lines, the cause, who can fix it, and the next step', () => {
  const step = '[2/2] RUN npm ci && npm run build'
  const lines = Array.from({ length: 30 }, (_, n) => `npm error ${n}`)
  const detail = `The step “${step}” failed: it ended with exit code 1.`
  const shown = failed('build_failed', 'build-failed', detail, {
    step,
    lastLines: [...lines, '', ' '],
  })
  expect(shown.slice(1, 7)).toEqual(lines.slice(-6).map((line) => `   | ${line}`))
  expect(shown.slice(7)).toEqual([
    'build_failed: shop, deployment d1',
    'The build failed. The step “[2/2] RUN” failed: it ended with exit code 1.',
    'The sender can fix it: in the source, the options or the request.',
    'Next: correct it, and deploy again. The whole log: log d1',
    '',
  ])
})

test.each<[Ended['state'], ProblemCode, string, string]>([
  [
    'build_failed',
    'registry-unavailable',
    'Fly or the registry failed',
    'Next: try again: retry d1',
  ],
  ['build_failed', 'planner-missing', 'The operator of the gateway', 'Next: ask the operator'],
  ['deploy_failed', 'deploy-failed', 'The sender can fix it', 'Next: correct it, and deploy'],
])('%s by %s says in words who can fix it, and what to do', (state, code, fault, next) => {
  expect(failed(state, code, 'Something.').slice(3)).toEqual([
    expect.stringContaining(fault),
    expect.stringContaining(next),
    '',
  ])
})

test('nobody is at fault when a deployment was cancelled or superseded', () => {
  expect(failed('cancelled', 'cancelled', 'Cancelled by ada.').slice(2)).toEqual([
    'The deployment was cancelled. Cancelled by ada.',
    'Next: retry d1 deploys it all the same.',
    '',
  ])
  const shown = failed('superseded', 'superseded', 'It is.', { supersededBy: 'd2' })
  expect(shown[3]).toBe('Next: see the newer one: log d2')
})

test('a refusal is lines of text that end with a line feed', () => {
  expect(renderRefusal(new Problem('archive-corrupt', 'Entry 7 is damaged.').body())).toBe(
    'refused: archive-corrupt\nThe archive is damaged. Entry 7 is damaged.\nThe sender can fix it: in the source, the options or the request.\n',
  )
})

test('a live verdict ends with the warnings of its machines and the URL', () => {
  const verdict = { id: 'd1', app: 'web', state: 'live', image: null, problem: null } as const
  const machines = [{ id: 'm1', warning: 'Users cannot reach it.' }, { id: 'm2' }]
  expect(renderVerdict({ ...verdict, url: 'http://web.flycast', machines })).toBe(
    '\nlive: web, deployment d1\nwarning: Machine m1: Users cannot reach it.\nhttp://web.flycast\n',
  )
  expect(renderVerdict({ ...verdict, url: null })).toBe('\nlive: web, deployment d1\n')
})
