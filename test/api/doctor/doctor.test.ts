import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { renderFindings, summary } from '#api/doctor/render.ts'
import { saveBundle } from '#api/doctor/save-bundle.ts'
import { doctorExitCode } from '#api/doctor/report.ts'
import { failed, ok, runProbes, unknown, warning } from '#api/doctor/run-probes.ts'
import { Problem } from '#api/problem.ts'

const never = new AbortController().signal

test('each probe gives one line, with what to do next below it; groups keep their order', async () => {
  const findings = await runProbes(
    [
      { group: 'token', name: 'valid', run: () => ok('organisation acme') },
      { group: 'network', name: 'clock', run: () => warning('40 s behind', 'Set the clock.') },
      { group: 'token', name: 'logs', run: () => failed('no\n  right', 'Make a token.') },
      { group: 'network', name: 'Flycast', run: () => unknown('not on Fly') },
    ],
    never,
  )
  expect(renderFindings(findings)).toBe(
    [
      'token',
      '  ok         valid: organisation acme',
      '  failed     logs: no right',
      '             next: Make a token.',
      'network',
      '  warning    clock: 40 s behind',
      '             next: Set the clock.',
      '  not known  Flycast: not on Fly',
      '',
    ].join('\n'),
  )
  expect(summary(findings)).toBe('1 ok, 1 warning, 1 failed, 1 not known')
  expect(doctorExitCode(findings)).toBe(1)
  expect(doctorExitCode(findings.filter(({ answer }) => answer !== 'failed'))).toBe(0)
})

test('the error of one probe is its answer, and does not affect the others', async () => {
  const findings = await runProbes(
    [
      {
        group: 'a',
        name: 'problem',
        run: () => Promise.reject(new Problem('not-ready', 'It starts.')),
      },
      {
        group: 'a',
        name: 'bug',
        run: () => {
          throw new Error('ENOENT: /dev/nothing')
        },
      },
      { group: 'a', name: 'good', run: () => ok('yes') },
    ],
    never,
  )
  expect(findings.map(({ answer, detail }) => `${answer}: ${detail}`)).toEqual([
    'failed: It starts.',
    'failed: ENOENT: /dev/nothing',
    'ok: yes',
  ])
})

test('a probe that takes too long is not known, and gets time to remove what it made', async () => {
  let removed = false
  const [finding] = await runProbes(
    [
      {
        group: 'a',
        name: 'slow',
        withinMs: 5,
        async run(signal) {
          try {
            return await new Promise<never>((_, reject) =>
              signal.addEventListener('abort', () => reject(new Error('aborted'))),
            )
          } finally {
            await Promise.resolve()
            removed = true
          }
        },
      },
    ],
    never,
  )
  expect(finding).toMatchObject({ answer: 'unknown', detail: 'no answer within 0.005 s' })
  expect(removed).toBe(true)
})

test('a probe that measures speed runs when the others have ended', async () => {
  const order: string[] = []
  const probe = (name: string, alone: boolean) => ({
    group: 'a',
    name,
    alone,
    run: async () => {
      order.push(`${name} begins`)
      await Promise.resolve()
      order.push(`${name} ends`)
      return ok(name)
    },
  })
  const findings = await runProbes([probe('speed', true), probe('other', false)], never)
  expect(order).toEqual(['other begins', 'other ends', 'speed begins', 'speed ends'])
  expect(findings.map(({ name }) => name)).toEqual(['speed', 'other'])
})

test('a service that does not answer is named with the reason, and what it would have said is not known', async () => {
  const findings = await runProbes(
    [
      { group: 'a', name: 'lost', run: () => fetch('http://127.0.0.1:1/').then(() => ok('')) },
      {
        group: 'a',
        name: 'Fly',
        run: () => Promise.reject(new Problem('fly-unavailable', 'Fly did not answer.')),
      },
    ],
    never,
  )
  expect(findings).toMatchObject(
    [
      { answer: 'failed', detail: expect.stringMatching(/^no answer: /), next: /Try again/ },
      { answer: 'unknown', detail: 'Fly did not answer.', next: /Try again/ },
    ].map((finding) => ({ ...finding, next: expect.stringMatching(finding.next) })),
  )
})

test('a support file replaces a file, private, and never a link or a device', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-bundle-'))
  const [file, link] = [join(dir, 'file'), join(dir, 'link')]
  writeFileSync(file, 'earlier', { mode: 0o644 })
  symlinkSync(file, link)
  expect(saveBundle(link, Buffer.from('x'))).toContain(`${link} is there, and is no file`)
  expect(readFileSync(file, 'utf8')).toBe('earlier')
  expect(saveBundle(file, Buffer.from('x'))).toBe(null)
  expect(statSync(file).mode % 0o1000).toBe(0o600)
  expect(readdirSync(dir).toSorted()).toEqual(['file', 'link'])
})
