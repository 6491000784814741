import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { readPlan } from '../../../gateway/src/railpack/plan-schema.ts'

const deploy = { base: { image: 'x' }, variables: { RAILPACK_VERSION: '0.41.0' } }
const planOf = (step: object) => ({ steps: [{ name: 'build', ...step }], deploy })
const read = (plan: unknown) => readPlan(JSON.stringify(plan))

test('layers have a short form, and null equals absent', () => {
  const { steps } = read(
    planOf({ inputs: ['.', '...', '$a b', { step: 'c', exclude: null }], commands: null }),
  )
  expect(steps[0]!.inputs).toEqual([
    { local: true, include: ['.'] },
    { spread: true },
    { step: 'a b' },
    { step: 'c' },
  ])
})

test('a string command goes to the shell: its JSON text, without the outer quotes, in single quotes', () => {
  const commands = ['npm ci', 'echo "hi"', 'RUN:a b', 'x#name: y', "it's"]
  expect(read(planOf({ commands })).steps[0]!.commands).toEqual([
    { form: 'exec', cmd: "sh -c 'npm ci'", customName: 'npm ci' },
    { form: 'exec', cmd: `sh -c 'echo \\"hi\\'`, customName: 'echo \\"hi\\' },
    { form: 'exec', cmd: "sh -c 'RUN:a b'", customName: 'RUN:a b' },
    { form: 'exec', cmd: "sh -c 'x#name: y'", customName: 'name' },
    { form: 'exec', cmd: "sh -c 'it's'", customName: "it's" },
  ])
})

test.each<[string, unknown, RegExp]>([
  [
    'a field of the plan',
    { deploy, labels: {} },
    /^The plan has a field that is not known: labels\./,
  ],
  ['a field of deploy', { deploy: { ...deploy, user: 'x' } }, /^deploy has .* not known: user\./],
  ['a field of a step', planOf({ network: 'none' }), /^steps\[0\] \(build\) has .*: network\./],
  ['a field of a layer', planOf({ inputs: [{ git: 'x' }] }), /inputs\[0\] has .*: git\./],
  [
    'a layer of two sources',
    planOf({ inputs: [{ image: 'x', step: 'y' }] }),
    /may name one of image, step/,
  ],
  [
    'a field of a command',
    planOf({ commands: [{ cmd: 'x', cwd: '/' }] }),
    /commands\[0\] has .*: cwd\./,
  ],
  [
    'a name where a path takes none',
    planOf({ commands: [{ path: '/x', customName: 'n' }] }),
    /: customName\./,
  ],
  [
    'a form of command',
    planOf({ commands: [{ run: 'x' }] }),
    /commands\[0\] .*no known form.*but run\./,
  ],
  [
    'a form of command that only looks known',
    planOf({ commands: [{ form: 'exec', cmd: 'x' }] }),
    /no known form/,
  ],
  [
    'a kind of cache',
    { deploy, caches: { c: { directory: '/c', type: 'private' } } },
    /^caches\.c\.type is not valid/,
  ],
])('%s outside the plan language is refused by name', (_, plan, words) => {
  const refused = refusalOf(() => read(plan))
  expect(refused.code).toBe('plan-invalid')
  expect(refused.message).toMatch(words)
  expect(refused.message).toContain('railpack 0.41.0')
})

test('a small plan that would make a huge graph is refused', () => {
  const include = Array.from({ length: 3_000 }, (_, at) => `/${at}`)
  const vast = { deploy: { ...deploy, inputs: [{ image: 'x', include }] } }
  expect(refusalOf(() => read(vast))).toMatchObject({
    code: 'plan-limit',
    message: expect.stringContaining('3001 commands'),
  })

  const commands = Array.from({ length: 900 }, () => ({ cmd: 'x' }))
  expect(
    refusalOf(() => read(planOf({ variables: { V: 'v'.repeat(40_000) }, commands }))).code,
  ).toBe('plan-limit')
  expect(read(planOf({ variables: { V: 'v'.repeat(20_000) }, commands })).steps).toHaveLength(1)
})

test('input that is not a plan at all is refused', () => {
  expect(refusalOf(() => readPlan('{'))).toMatchObject({ code: 'plan-invalid' })
  for (const other of [null, 5, [], {}])
    expect(refusalOf(() => read(other)).code).toBe('plan-invalid')
})

function refusalOf(act: () => unknown): Problem {
  try {
    act()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('it was not refused')
}
