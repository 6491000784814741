import { expect, test } from 'vitest'
import { authorization, startHttp } from '../start-http.ts'

test('an app’s settings are shown with their origin, changed one by one, and apply to its deployments', async () => {
  await using http = await startHttp()
  const ask = async (method: string, body?: unknown) => {
    const answer = await fetch(`${http.url}/v1/apps/shop`, {
      method,
      headers: authorization,
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return {
      status: answer.status,
      ...((await answer.json()) as { code?: string; settings: Record<string, unknown> }),
    }
  }
  expect(await ask('GET')).toMatchObject({ status: 404, code: 'app-not-found' })
  await http.create()
  expect((await ask('GET')).settings).toMatchObject({
    lane: { value: 'latest', from: 'default' },
    region: { value: 'ams', from: 'gateway' },
    env: { value: {}, from: 'default' },
    dockerfile: { value: null, from: 'default' },
  })

  const changed = await ask('PATCH', { region: 'fra', lane: 'fifo', env: { A: '1', B: '2' } })
  expect(changed).toMatchObject({
    status: 200,
    app: 'shop',
    settings: { region: { value: 'fra', from: 'app' } },
  })
  expect((await ask('PATCH', { region: null, env: { A: null } })).settings).toMatchObject({
    region: { value: 'ams', from: 'gateway' },
    lane: { value: 'fifo', from: 'app' },
    env: { value: { B: '2' }, from: 'app' },
  })

  const upload = await fetch(`${http.url}/deploy/shop?follow=false&env.C=3`, {
    method: 'PUT',
    headers: authorization,
    body: 'tar',
  })
  expect(await upload.json()).toMatchObject({
    options: { lane: 'fifo', region: null, env: { B: '2', C: '3' } },
  })

  expect(await ask('PATCH', { lane: 'sometimes' })).toMatchObject({
    status: 422,
    code: 'option-invalid',
  })
  expect(await ask('PATCH', { keepSourcesDays: 1e9 })).toMatchObject({
    status: 422,
    code: 'option-invalid',
  })
  expect(await ask('PATCH', { lanes: 'fifo' })).toMatchObject({
    status: 422,
    code: 'option-unknown',
  })
  expect(await ask('PATCH', { env: { '1A': 'x' } })).toMatchObject({
    status: 422,
    code: 'option-invalid',
  })
  expect(await ask('PATCH', '{')).toMatchObject({ status: 400, code: 'request-invalid' })
  expect(await ask('PATCH', `"${'x'.repeat(70_000)}"`)).toMatchObject({
    status: 400,
    code: 'request-invalid',
  })
  expect((await ask('GET')).settings['lane']).toEqual({ value: 'fifo', from: 'app' })
})

test('a deployment that the lane rejects names the deployment in its way', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const send = (query: string) =>
    fetch(`${http.url}/deploy/shop?follow=false&${query}`, {
      method: 'PUT',
      headers: authorization,
      body: 'tar',
    })
  const answer = await send('lane=reject')
  expect([answer.status, await answer.json()]).toMatchObject([
    409,
    { code: 'lane-busy', deployment: id },
  ])
  expect(http.received).toEqual([]) // the gateway asked for no byte of the body
  expect((await send('lane=reject&owner=alice')).status).toBe(202)
  expect((await send('owner=No')).status).toBe(422)
})

test('an idempotency key gets the same answer, even when the lane accepts no more', async () => {
  await using http = await startHttp()
  const send = async (key: string) => {
    const headers = { ...authorization, 'Idempotency-Key': key }
    const answer = await fetch(`${http.url}/deploy/shop?follow=false&lane=reject`, {
      method: 'PUT',
      headers,
      body: 'tar',
    })
    return { status: answer.status, ...((await answer.json()) as { id?: string; code?: string }) }
  }
  const { id } = await send('one')
  expect(await send('one')).toMatchObject({ status: 202, id })
  expect(await send('two')).toMatchObject({ status: 409, code: 'lane-busy' })
})
