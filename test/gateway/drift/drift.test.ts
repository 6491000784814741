import { expect, test } from 'vitest'
import { isUnknown } from '#api/status/part.ts'
import { startDrift } from './start-drift.ts'

const dayMs = 86_400_000

test('an app that Tarmac has made has one Flycast address on its own network, and no public one', async () => {
  await using gateway = await startDrift()
  const { app, address, publicAddress, found, drift, signal } = gateway
  await app('web')
  expect(await found('web')).toEqual(['flycast-missing flycast'])

  const ip = await address('web')
  const report = await drift.report('web', signal)
  expect(report).toMatchObject({
    findings: [],
    network: 'default',
    ips: [{ ip, public: false, network: { name: 'default', organization: 'personal' } }],
    certificates: [],
    deploying: false,
  })

  const open = await publicAddress('web')
  expect((await drift.report('web', signal)).findings).toEqual([
    {
      code: 'public-address',
      subject: open,
      text: `The app can be reached from everywhere at ${open}.`,
      expected: 'no public address',
      found: `the public address ${open}`,
      advice: `If nobody needs it: fly ips release ${open} -a web. If it is meant so: tarmac drift web --accept.`,
      since: null,
    },
  ])
})

test('a Flycast address of another network is found, and so is a second one', async () => {
  await using gateway = await startDrift()
  const { app, address, found, drift, signal } = gateway
  await app('own', { network: 'pr-12' })
  const ip = await address('own')
  const report = await drift.report('own', signal)
  expect(report.findings).toMatchObject([
    {
      code: 'flycast-network',
      subject: ip,
      expected: 'an address on the network pr-12',
      found: `${ip} on the network default`,
      advice: expect.stringContaining('fly ips allocate-v6 --private --network pr-12 -a own'),
    },
  ])
  await address('own', 'pr-12')
  expect(await found('own')).toEqual(['flycast-several flycast', `flycast-network ${ip}`])
})

test('a network that Fly does not say is unknown, never guessed; it is judged when Fly says it', async () => {
  await using gateway = await startDrift()
  const { app, address, drift, signal, local, found } = gateway
  await app('own', { network: 'pr-12' })
  const ip = await address('own')
  const { ips } = local.state.apps.get('own')!
  const known = ips[0]!.network
  ips[0]!.network = null
  await drift.lookDaily('own', signal)
  const report = await drift.report('own', signal)
  expect(report.findings).toEqual([])
  expect(report.ips).toEqual([{ ip, public: false, network: { unknown: 'Fly does not say it.' } }])

  ips[0]!.network = known
  await drift.lookDaily('own', signal)
  expect(await found('own')).toEqual([`flycast-network ${ip}`])

  // What was found stays while Fly does not say the network again.
  ips[0]!.network = null
  expect(await found('own')).toEqual([`flycast-network ${ip}`])
})

test('a Flycast address that is replaced by another has changed', async () => {
  await using gateway = await startDrift()
  const { app, address, drift, signal, found, fly } = gateway
  await app('web')
  const ip = await address('web')
  await drift.lookDaily('web', signal)
  await fly.releaseIp('web', ip!, signal)
  await address('web')
  expect(await found('web')).toEqual(['flycast-changed flycast'])
  await drift.accept('web', signal)
  expect(await found('web')).toEqual([])
})

test('an app of somebody else keeps the addresses that it had at the first look', async () => {
  await using gateway = await startDrift()
  const { app, publicAddress, found, drift, signal, address } = gateway
  await app('theirs', { made: false })
  await publicAddress('theirs')
  expect(await found('theirs')).toEqual([])
  await drift.lookDaily('theirs', signal)
  const second = await publicAddress('theirs')
  await address('theirs', 'other')
  expect(await found('theirs')).toEqual([
    `public-address ${second}`,
    'flycast-several flycast',
    expect.stringContaining('flycast-network fdaa:'),
  ])
})

test('each state of a certificate has its own finding', async () => {
  await using gateway = await startDrift()
  const { app, address, certificate, drift, signal, clock } = gateway
  await app('web')
  await address('web')
  const until = (days: number) => new Date(clock.ms + days * dayMs).toISOString()
  const active = (days: number) => ({ status: 'active' as const, expires_at: until(days) })
  const leads = { alpn: true, http: true }
  const set = (hostname: string, more: object) => certificate({ app: 'web', hostname, ...more })
  set('a-good.org', { dns: leads, fly: active(60) })
  set('b-cdn.org', { dns: { ownership: true }, custom: active(400) })
  set('c-soon.org', { dns: leads, fly: active(29.5) })
  set('d-import.org', { dns: leads, custom: active(5), fly: active(60) })
  set('e-past.org', { dns: leads, fly: active(-1) })
  set('f-lost.org', { fly: active(60) })
  set('g-pending.org', { dns: { http: true } })
  set('h-nothing.org', {})
  set('i-failed.org', { dns: leads, error: 'CAA record forbids letsencrypt.org' })
  set('j-limited.org', { dns: leads, rateLimitedUntil: until(1) })
  set('*.k-wild.org', { dns: { dns: true }, fly: active(10) })

  const report = await drift.report('web', signal)
  expect(report.findings.map(({ code, subject }) => `${subject} ${code}`).toSorted()).toEqual([
    '*.k-wild.org certificate-expiring',
    'c-soon.org certificate-expiring',
    'd-import.org certificate-expiring',
    'e-past.org certificate-expired',
    'f-lost.org certificate-dns',
    'g-pending.org certificate-pending',
    'h-nothing.org certificate-dns',
    'i-failed.org certificate-failed',
    'j-limited.org certificate-failed',
  ])
  const of = (hostname: string) => report.findings.find(({ subject }) => subject === hostname)
  expect(of('c-soon.org')).toMatchObject({
    text: 'The certificate of c-soon.org ends on 2026-12-29, in 30 days.',
    advice: expect.stringContaining('fly certs check c-soon.org -a web'),
  })
  expect(of('d-import.org')?.advice).toContain('Import a new one: fly certs import d-import.org')
  expect(of('*.k-wild.org')?.advice).toContain("fly certs check '*.k-wild.org' -a web")
  expect(of('i-failed.org')?.text).toContain('CAA record forbids letsencrypt.org')
  expect(of('j-limited.org')?.text).toContain(`takes no more requests until ${until(1)}`)
  for (const host of ['i-failed.org', 'j-limited.org']) expect(of(host)?.text).toMatch(/\.$/)
  if (isUnknown(report.certificates)) throw new Error('unknown')
  expect(report.certificates.find(({ hostname }) => hostname === 'b-cdn.org')).toEqual({
    hostname: 'b-cdn.org',
    source: 'custom',
    state: 'issued',
    dns: 'proof',
    expiresAt: until(400),
    problem: null,
    isRead: true,
  })
})

test('a hostname that is gone or new since the first look is found until it is accepted, or as it was', async () => {
  await using gateway = await startDrift()
  const { app, address, certificate, removeHostname, found, drift, signal } = gateway
  await app('web')
  await address('web')
  const good = (hostname: string) =>
    certificate({
      app: 'web',
      hostname,
      dns: { alpn: true },
      fly: { status: 'active', expires_at: '2027-06-01T00:00:00Z' },
    })
  good('one.org')
  await drift.lookDaily('web', signal)
  expect(await found('web')).toEqual([])

  removeHostname('web', 'one.org')
  good('two.org')
  expect(await found('web')).toEqual(['certificate-gone one.org', 'certificate-new two.org'])
  await drift.lookDaily('web', signal)
  await drift.lookDaily('web', signal)
  expect(await found('web')).toEqual(['certificate-gone one.org', 'certificate-new two.org'])

  good('one.org')
  expect(await found('web')).toEqual(['certificate-new two.org'])
  expect((await drift.accept('web', signal)).findings).toEqual([])
  expect(await found('web')).toEqual([])
})

test('what Fly does not answer is unknown, and ends no finding', async () => {
  await using gateway = await startDrift()
  const { app, address, certificate, found, drift, signal, local, events } = gateway
  await app('web')
  await address('web')
  certificate({ app: 'web', hostname: 'one.org', dns: { alpn: true } })
  await drift.lookDaily('web', signal)

  local.be({ faults: [{ fault: 'denied', on: 'GET /apps/web/certificates' }] })
  const report = await drift.report('web', signal)
  expect(report.certificates).toMatchObject({ unknown: expect.stringContaining('refused') })
  expect(await found('web')).toEqual(['certificate-pending one.org'])
  await drift.lookDaily('web', signal)
  expect(await events('web')).toEqual(['begun certificate-pending one.org'])

  local.be({ faults: [] })
  certificate({
    app: 'web',
    hostname: 'one.org',
    fly: { status: 'active', expires_at: '2027-06-01T00:00:00Z' },
  })
  await drift.lookDaily('web', signal)
  expect(await events('web')).toEqual([
    'begun certificate-pending one.org',
    'ended certificate-pending one.org',
  ])
})

test('an app that was deleted and made again at Fly starts without findings', async () => {
  await using gateway = await startDrift()
  const { app, address, certificate, found, drift, signal, fly, store } = gateway
  await app('web')
  await address('web')
  certificate({ app: 'web', hostname: 'one.org', dns: { alpn: true } })
  await drift.lookDaily('web', signal)
  await fly.deleteApp('web', signal)
  await expect(drift.report('web', signal)).rejects.toMatchObject({ code: 'app-not-found' })
  await fly.createApp({ name: 'web', org: 'personal', network: null }, signal)
  expect(await found('web')).toEqual([])
  await store.releases.forget('web')
  expect(await store.drift.find('web')).toBeNull()
})

test('only so many certificates are read in detail; the others are not taken for good', async () => {
  await using gateway = await startDrift()
  const { app, address, certificate, drift, clock, signal } = gateway
  await app('web')
  await address('web')
  const expires_at = new Date(clock.ms + 5 * dayMs).toISOString()
  const names = Array.from({ length: 22 }, (_, at) => `h${String(at).padStart(2, '0')}.org`)
  for (const hostname of names)
    certificate({
      app: 'web',
      hostname,
      dns: { alpn: true },
      fly: { status: 'active', expires_at },
    })
  const { certificates, findings } = await drift.report('web', signal)
  if (isUnknown(certificates)) throw new Error('unknown')
  expect(findings).toHaveLength(20)
  expect(certificates.filter(({ isRead }) => !isRead)).toMatchObject([
    { hostname: 'h20.org', state: 'issued', expiresAt: null },
    { hostname: 'h21.org', state: 'issued', expiresAt: null },
  ])
})
