import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DriftReport } from '#api/drift/report.ts'
import type { ReleaseDiff, ReleasePage } from '#api/release.ts'
import type { Rollout } from '#api/rollout.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab(),
  (fresh) => void (lab = fresh),
)

const post = async <T>(path: string, body?: object): Promise<T> => {
  const answer = await fetch(lab.gateway + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  expect(answer.status).toBe(202)
  return (await answer.json()) as T
}
const get = async <T>(path: string) => (await (await lab.ask(path)).json()) as T
/** A server for the page, followed by what the environment says. */
const greeter = (text: string) => {
  const files = pageApp(text)
  const serve = 'echo " $GREETING" >> /www/index.html; exec httpd -f -p 8080 -h /www'
  return {
    ...files,
    Dockerfile: files['Dockerfile']!.replace(/CMD.*/, `CMD ["sh", "-c", ${JSON.stringify(serve)}]`),
  }
}

test('two versions, a rollback and the difference; then one image for owners in a shared app', async () => {
  const one = await lab.end(await lab.submit('shop', greeter('first'), 'env.GREETING=hello'))
  const two = await lab.end(await lab.submit('shop', greeter('second'), 'env.GREETING=hi'))
  expect([one.record.release, two.record.release]).toEqual([1, 2])
  expect(await lab.page('shop')).toBe('second hi\n')

  const secret = await fetch(`${lab.flyApi}/v1/apps/shop/secrets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.flyToken}` },
    body: JSON.stringify({ values: { KEY: 'changed since' } }),
  })
  expect(secret.status).toBe(200)

  const { id } = await post<Deployment>('/v1/apps/shop/rollback')
  const back = await lab.end(id)
  expect(back.states).toEqual(['pending', 'deploying', 'verifying', 'live'])
  expect(back.record).toMatchObject({
    release: 3,
    from: { release: 1 },
    image: { digest: one.record.image!.digest },
  })
  expect(back.log.filter(({ type }) => type === 'warning')).toMatchObject([
    { text: expect.stringMatching(/1: KEY/) },
    { text: expect.stringMatching(/^Another tool has changed secrets .* KEY \(added\)/) },
  ])
  expect(await lab.page('shop')).toBe('first hello\n')

  const { releases } = await get<ReleasePage>('/v1/apps/shop/releases')
  expect(releases.map(({ number, deployment }) => [number, deployment])).toEqual([
    [3, id],
    [2, two.record.id],
    [1, one.record.id],
  ])
  expect(await get<ReleaseDiff>('/v1/apps/shop/releases/1/diff/2')).toMatchObject({
    differences: [{ path: 'image' }, { path: 'env.app.GREETING', before: 'hello', after: 'hi' }],
  })
  expect(await get<DriftReport>('/v1/apps/shop/drift')).toMatchObject({
    made: true,
    ips: [{ public: false }],
    foreign: [],
    drift: [],
  })

  const ofOwner = (owner: string) => `${owner}.tarmac_owner.kv._metadata.shared.internal`
  const source = { release: 2, app: 'shop' }
  const targets = ['ada', 'bob'].map((owner) => ({
    app: 'shared',
    owner,
    env: { GREETING: owner },
  }))
  const made = await post<Rollout>('/v1/rollouts', { source, targets, parallel: 2 })
  await expect
    .poll(() => get<Rollout>(`/v1/rollouts/${made.id}`), { timeout: 60_000 })
    .toMatchObject({
      counts: { live: 2 },
      targets: [
        { url: expect.stringContaining(`//${ofOwner('ada')}.localhost`) },
        { owner: 'bob' },
      ],
    })
  expect([await lab.page(ofOwner('ada')), await lab.page(ofOwner('bob'))]).toEqual([
    'second ada\n',
    'second bob\n',
  ])

  const third = await lab.end(
    await lab.submit('shared', greeter('third'), 'owner=cy&env.GREETING=cy'),
  )
  expect(third.record).toMatchObject({ state: 'live', owner: 'cy', release: 1 })
  expect([await lab.page(ofOwner('cy')), await lab.page(ofOwner('ada'))]).toEqual([
    'third cy\n',
    'second ada\n',
  ])
  expect(await lab.machines('shared')).toHaveLength(3)

  const remove = async (query: string) =>
    (
      await fetch(`${lab.gateway}/v1/apps/shared?${query}`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${lab.token}` },
      })
    ).status
  expect([await remove('confirm=shop'), await remove('confirm=shared')]).toEqual([422, 204])
  expect(await lab.machines('shared')).toEqual([])
})

test('a rollback restores the machine settings of the later release, and the record agrees', async () => {
  const http = '[http_service]\ninternal_port = 8080\n'
  const more = `machine_config = '{"dns":{"skip_registration":true}}'\n${http}[[vm]]\ncpus = 2\nmemory = "1gb"`
  for (const toml of [http, more])
    expect(
      (await lab.end(await lab.submit('sized', { ...pageApp('x'), 'fly.toml': toml }))).record
        .state,
    ).toBe('live')
  const size = async () => {
    const [machine] = await lab.machines('sized')
    return [machine!.config.guest, machine!.config.dns]
  }
  expect(await size()).toMatchObject([{ cpus: 2, memory_mb: 1024 }, { skip_registration: true }])

  const { id } = await post<Deployment>('/v1/apps/sized/rollback')
  expect((await lab.end(id)).record).toMatchObject({ state: 'live', release: 3 })
  expect(await size()).toMatchObject([{ cpus: 1, memory_mb: 512 }, undefined])
  const diff = async (to: number) =>
    (await get<ReleaseDiff>(`/v1/apps/sized/releases/1/diff/${to}`)).differences
      .map(({ path }) => path)
      .toSorted()
  expect(await diff(2)).toEqual([
    'config.app.dns',
    'config.app.guest.cpus',
    'config.app.guest.memory_mb',
    'image',
  ])
  expect(await diff(3)).toEqual([])
  expect(await get<DriftReport>('/v1/apps/sized/drift')).toMatchObject({ drift: [] })
})
