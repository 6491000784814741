import { expect, test } from 'vitest'
import type { Deployment } from '../../../api/deployment.ts'
import type { Preview } from '../../../api/previews/preview.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import { authorization } from '../http/start-http.ts'
import { startMachines } from '../start-machines.ts'

const value = 'a-value-that-nobody-sees'

test('the secrets of a preview are on Fly before its machine is, and in no record or log', async () => {
  await using gateway = await startMachines()
  const { fly, images, call, get, log, store } = gateway
  const { status, body } = await call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source: { image: images.put('shop', 'v1').name },
    secrets: { TOKEN: value },
  })
  expect(status).toBe(201)
  expect(fly.apps.get(body.flyApp)?.secrets.map(({ name }) => name)).toEqual(['TOKEN'])
  const at = (call: string) => fly.calls.indexOf(`POST /apps/${body.flyApp}/${call}`)
  expect(at('secrets')).toBeGreaterThan(0)
  expect(at('machines')).toBeGreaterThan(at('secrets'))
  expect(fly.minSecretsVersions).toEqual([1])

  const shown = [body, await get(`/v1/deployments/${body.deployment}`), await log(body.deployment)]
  expect(JSON.stringify(shown)).not.toContain(value)
  expect(await store.secretsOf(`deployment:${body.deployment}`)).toEqual([])
})

test('a secret that Fly could not keep is refused before anything is made', async () => {
  await using gateway = await startMachines()
  const { fly, images, call, form } = gateway
  const asked = { app: 'shop', owner: 'alice', source: { image: images.put('shop', 'v1').name } }
  for (const secrets of [{ '1ST': value }, { A: `${value}\0` }, { A: 'x'.repeat(65 * 1024) }])
    expect(await call('POST', '/v1/previews', { ...asked, secrets })).toMatchObject({
      status: 422,
      body: { code: 'secret-invalid' },
    })
  expect(
    await form('/v1/previews?secret.A=b', { app: 'shop', owner: 'alice', source: new Blob(['x']) }),
  ).toMatchObject({ body: { code: 'option-invalid' } })
  expect(fly.apps.size).toBe(0)
})

test('the same key makes one preview, and is refused for other secrets', async () => {
  await using gateway = await startMachines()
  const { images, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const ask = (secrets: object) =>
    call<Preview & ProblemBody>(
      'POST',
      '/v1/previews',
      { app: 'shop', owner: 'alice', source, secrets },
      { 'Idempotency-Key': 'k1' },
    )
  const first = (await ask({ A: '1' })).body.id
  expect((await ask({ A: '1' })).body.id).toBe(first)
  expect((await ask({ A: '2' })).body.code).toBe('idempotency-mismatch')
})

test('a source comes as an archive with the fields as query, or as a form with secrets', async () => {
  await using gateway = await startMachines()
  const { form, get, url, store } = gateway
  const raw = await fetch(
    `${url}/v1/previews?app=shop&owner=alice&ttlSeconds=60&env.MODE=try&dockerfile=Dockerfile.dev`,
    { method: 'POST', headers: authorization, body: 'an archive' },
  )
  expect(raw.status).toBe(202)
  const first = (await raw.json()) as Preview
  expect(raw.headers.get('location')).toBe(`/v1/previews/${first.id}`)
  const livesMs = Date.parse(first.expiresAt) - Date.parse(first.createdAt)
  expect(Math.round(livesMs / 1000)).toBe(60)
  expect(await get<Deployment>(`/v1/deployments/${first.deployment}`)).toMatchObject({
    app: first.flyApp,
    options: { env: { MODE: 'try' }, dockerfile: 'Dockerfile.dev', network: first.flyApp },
    source: { files: 1 },
  })

  const second = await form<Preview>('/v1/previews', {
    app: 'shop',
    owner: 'alice',
    'secret.TOKEN': value,
    source: new Blob(['an archive']),
  })
  expect(second).toMatchObject({ status: 202, body: { state: 'starting', owner: 'alice' } })
  const kept = await store.secretsOf(`deployment:${second.body.deployment}`)
  expect(kept.map(({ name }) => name)).toEqual(['TOKEN'])
  expect(JSON.stringify(kept)).not.toContain(value)
})

test('no source is read for one preview too many, nor without its app and owner', async () => {
  await using gateway = await startMachines()
  const { form, received, url } = gateway
  const send = (query: string) =>
    fetch(`${url}/v1/previews?${query}`, {
      method: 'POST',
      headers: authorization,
      body: 'an archive',
    })
  for (let at = 0; at < 3; at++) expect((await send('app=shop&owner=alice')).status).toBe(202)
  expect(received.length).toBe(3)
  expect(await (await send('app=shop&owner=alice')).json()).toMatchObject({ code: 'preview-limit' })
  const source = new Blob(['an archive'])
  expect(await form('/v1/previews', { app: 'shop', owner: 'alice', source })).toMatchObject({
    body: { code: 'preview-limit' },
  })
  expect(await form('/v1/previews', { source, app: 'shop', owner: 'bob' })).toMatchObject({
    body: { code: 'request-invalid', detail: expect.stringContaining('before the file') },
  })
  expect(await (await send('app=shop&owner=alice&count=2')).json()).toMatchObject({
    code: 'option-unknown',
  })
  expect(received.length).toBe(3)
})

test('a caller that waits for a preview that fails gets the problem, with the preview', async () => {
  await using gateway = await startMachines()
  const { fly, images, call } = gateway
  const bad = images.put('shop', 'v2')
  fly.natures.set(bad.digest, 'cannot-start')
  const { status, body } = await call<ProblemBody>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source: { image: bad.name },
  })
  expect({ ...body, status }).toMatchObject({
    status: 502,
    code: 'deploy-failed',
    preview: expect.stringMatching(/^pv-/),
    deployment: expect.any(String),
    lastLines: [expect.stringContaining('said by')],
  })
})

test('a release is one of the app that the preview belongs to', async () => {
  await using gateway = await startMachines()
  const { images, deploy, call } = gateway
  await deploy('shop', { image: images.put('shop', 'v1').name }, { env: { FROM: 'release' } })
  const { status, body } = await call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source: { release: 1 },
    env: { MODE: 'try' },
  })
  expect([status, body.state]).toEqual([201, 'ready'])
  const [machine] = gateway.fly.machines(body.flyApp)
  expect(machine?.config.env).toMatchObject({ FROM: 'release', MODE: 'try' })
})

test('the log of its deployment can be followed at the address of the preview', async () => {
  await using gateway = await startMachines()
  const { images, call, url } = gateway
  const { body } = await call<Preview>('POST', '/v1/previews', {
    app: 'shop',
    owner: 'alice',
    source: { image: images.put('shop', 'v1').name },
  })
  const read = (path: string) =>
    fetch(url + path, { headers: { ...authorization, accept: 'text/plain' } })
  const log = await (await read(`/v1/previews/${body.id}/events`)).text()
  expect(log).toContain(`live: ${body.flyApp}`)
  expect((await read('/v1/previews/pv-none/events')).status).toBe(404)
})
