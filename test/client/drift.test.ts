import { expect, test } from 'vitest'
import type { DriftList } from '#api/drift/drift-list.ts'
import type { DriftFinding } from '#api/drift/finding.ts'
import type { DriftView } from '#api/drift/report.ts'
import { readCommandLine } from '../../client/src/command-line.ts'
import { drift, listLines, reportLines } from '../../client/src/drift/drift.ts'
import type { Gateway } from '../../client/src/gateway.ts'
import type { Printer } from '../../client/src/print.ts'

const env = { TARMAC_GATEWAY: 'http://tarmac:8080' }
const finding: DriftFinding = {
  code: 'flycast-network',
  subject: 'fdaa:0:1::2',
  text: 'The Flycast address fdaa:0:1::2 is on the network default, and the app is on pr-12.',
  expected: 'an address on the network pr-12',
  found: 'fdaa:0:1::2 on the network default',
  advice: 'To replace it: fly ips release fdaa:0:1::2 -a web.',
  since: '2026-11-29T03:12:00.000Z',
}
const report: DriftView = {
  app: 'web',
  findings: [finding],
  network: 'pr-12',
  ips: [
    {
      ip: 'fdaa:0:1::2',
      public: false,
      network: { name: 'default', organization: 'personal' },
    },
    { ip: 'fdaa:0:1::3', public: false, network: { unknown: 'Fly does not say it.' } },
    { ip: '192.0.2.1', public: true, network: null },
  ],
  certificates: [
    {
      hostname: 'a.org',
      source: 'fly',
      state: 'issued',
      dns: 'app',
      expiresAt: '2027-02-01T00:00:00Z',
      problem: null,
      isRead: true,
    },
    {
      hostname: 'b.org',
      source: null,
      state: 'pending',
      dns: 'none',
      expiresAt: null,
      problem: null,
      isRead: true,
    },
    {
      hostname: 'c.org',
      source: 'custom',
      state: 'expired',
      dns: 'app',
      expiresAt: '2026-11-12T00:00:00Z',
      problem: null,
      isRead: true,
    },
  ],
  deploying: false,
}

test('tarmac drift lists, drift APP looks, and drift APP --accept accepts', () => {
  const read = (...args: string[]) => readCommandLine(['drift', ...args], env)
  expect(read()).toMatchObject({ name: 'drift', app: null, accept: false })
  expect(read('web')).toMatchObject({ app: 'web', accept: false })
  expect(read('web', '--accept')).toMatchObject({ app: 'web', accept: true })
  for (const wrong of [['--accept'], ['a', 'b']])
    expect(() => read(...wrong)).toThrow('The usage is: tarmac drift [APP] [--accept].')
  expect(() => readCommandLine(['apps', '--accept'], env)).toThrow('--accept is not an option')
})

test('a report has each finding with what was expected, then what Fly has', () => {
  expect(reportLines(report, false).join('\n')).toBe(`web: 1 finding

flycast-network  fdaa:0:1::2
  The Flycast address fdaa:0:1::2 is on the network default, and the app is on pr-12.
  expected:    an address on the network pr-12
  on Fly:      fdaa:0:1::2 on the network default
  since:       2026-11-29 03:12 UTC
  what to do:  To replace it: fly ips release fdaa:0:1::2 -a web.

network       pr-12
addresses     fdaa:0:1::2, Flycast on the network default
              fdaa:0:1::3, Flycast; network: unknown (Fly does not say it.)
              192.0.2.1, public
certificates  a.org: issued until 2027-02-01; DNS leads to the app
              b.org: pending; DNS does not lead to the app
              c.org: expired on 2026-11-12; DNS leads to the app`)
})

test('a report without drift says so, and what it does not know', () => {
  const lines = reportLines(
    {
      ...report,
      findings: [],
      ips: [],
      certificates: { unknown: 'Fly refused.' },
      deploying: true,
    },
    true,
  )
  expect(lines.join('\n')).toBe(`From now on web should have the addresses and hostnames below.
web: no drift

network       pr-12
addresses     none
certificates  not known: Fly refused.
A deployment changes machines now, so they were not compared.`)
})

test('the list has the apps with drift, and the time of the last look', () => {
  const app = { lookedAt: '2026-11-30T02:10:00.000Z', problem: null }
  const list: DriftList = {
    checkedAt: '2026-11-30T02:10:00.000Z',
    looked: 31,
    apps: [
      { app: 'shop', findings: [], ...app, problem: 'Fly refused.' },
      { app: 'web', findings: [finding, { ...finding, code: 'certificate-dns' }], ...app },
    ],
  }
  expect(listLines(list).join('\n')).toBe(`APP  FINDINGS  SINCE (UTC)       WHAT
web         2  2026-11-29 03:12  flycast-network, certificate-dns

1 of 31 apps; looked at all apps at 2026-11-30 02:10 UTC
shop could not be looked at: Fly refused.
To see them as they are now: tarmac drift APP`)
  expect(listLines({ ...list, apps: [] })).toEqual([
    'no app has drift',
    'looked at all apps at 2026-11-30 02:10 UTC',
  ])
  expect(listLines({ checkedAt: null, looked: 0, apps: [] })).toEqual([
    'The gateway has not looked at all apps yet. It does so once a day, and soon after its start.',
  ])
})

test('the exit code is 25 where drift was found, and else 0', async () => {
  const run = async (answer: object, app: string | null) => {
    const gateway = { ask: async () => answer } as unknown as Gateway
    const printer = {
      result: (_facts: object, _lines: string[], exitCode = 0) => exitCode,
    } as unknown as Printer
    return drift({ app, accept: false }, gateway, printer, new AbortController().signal)
  }
  expect(await run(report, 'web')).toBe(25)
  expect(await run({ ...report, findings: [] }, 'web')).toBe(0)
  const one = { app: 'web', lookedAt: '', findings: [finding], problem: null }
  expect(await run({ checkedAt: null, looked: 1, apps: [one] }, null)).toBe(25)
  expect(await run({ checkedAt: null, looked: 1, apps: [] }, null)).toBe(0)
})
