import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { authorization, startHttp } from '../start-http.ts'

type Http = Awaited<ReturnType<typeof startHttp>>
const secrets = '/v1/apps/shop/secrets'
const send = (http: Http, method: string, path: string, body?: string | FormData) =>
  fetch(`${http.url}${path}`, {
    method,
    headers: authorization,
    ...(body !== undefined && { body }),
  })
const detail = async (answer: Response) => ((await answer.json()) as { detail: string }).detail
const opened = async ({ vault }: Http, id: string) =>
  Object.fromEntries(
    [...(await vault.open({ id, app: 'shop' }))].map(([name, value]) => [name, value.toString()]),
  )

test('a secret is stored, listed by name and time, never shown, and removed', async () => {
  await using http = await startHttp()
  const value = 'correct horse\nbattery staple\n'
  const put = await send(http, 'PUT', `${secrets}/NPM_TOKEN`, value)
  const facts = (await put.json()) as object
  expect(facts).toEqual({
    name: 'NPM_TOKEN',
    createdAt: expect.any(String),
    updatedAt: expect.any(String),
  })
  expect(await (await http.get(secrets)).json()).toEqual({ secrets: [facts] })
  expect(await opened(http, 'd1')).toEqual({ NPM_TOKEN: value })
  expect((await http.get(`${secrets}/NPM_TOKEN`)).status).toBe(405)
  expect((await send(http, 'DELETE', `${secrets}/NPM_TOKEN`)).status).toBe(204)
  expect((await send(http, 'DELETE', `${secrets}/NPM_TOKEN`)).status).toBe(404)
  expect(await (await http.get(secrets)).json()).toEqual({ secrets: [] })
  expect(http.logged.join('')).not.toContain('horse')
})

test('an invalid secret is refused with the rule, and the connection stays open', async () => {
  await using http = await startHttp()
  expect(await detail(await send(http, 'PUT', `${secrets}/1A`, 'value'))).toContain(
    'beginning with a letter',
  )
  expect(await detail(await send(http, 'PUT', `${secrets}/A`))).toContain('empty')
  expect(await detail(await send(http, 'PUT', `${secrets}/A`, 'x'.repeat(70_000)))).toContain(
    '64 KiB',
  )
  expect((await send(http, 'PUT', '/v1/apps/No/secrets/A', 'value')).status).toBe(422)
  expect((await fetch(`${http.url}${secrets}/A`, { method: 'PUT', body: 'value' })).status).toBe(
    401,
  )
})

test('secrets of a form belong to its deployment and are in no record; secrets in a URL are refused', async () => {
  await using http = await startHttp()
  await send(http, 'PUT', `${secrets}/A`, 'of the app')
  for (const [method, path] of [
    ['POST', '/v1/apps/shop/deployments'] as const,
    ['PUT', '/deploy/shop?follow=false'] as const,
  ]) {
    const form = new FormData()
    form.set('secret.B', 'horse & staple')
    form.set('source', new Blob(['bytes']), 'source.tar')
    form.set('build.C', 'seen')
    const answer = await send(http, method, path, form)
    expect(answer.status).toBe(202)
    const text = await answer.text()
    const { id, options } = JSON.parse(text) as { id: string; options: object }
    expect(options).toMatchObject({ build: { C: 'seen' } })
    expect(text).not.toMatch(/horse|secret/)
    expect(await opened(http, id)).toEqual({ A: 'of the app', B: 'horse & staple' })
  }
  const answer = await send(http, 'PUT', '/deploy/shop?secret.B=horse', 'bytes')
  expect(answer.status).toBe(422)

  const refusal = await answer.text()
  expect(refusal).toContain('option-invalid')
  expect(refusal).toContain('PUT /v1/apps/{app}/secrets/{name}')
  expect(refusal + http.logged.join('')).not.toContain('horse')
})

test('a gateway without a key says how to set one', async () => {
  const missing = () =>
    Promise.reject(new Problem('secrets-unavailable', 'Set TARMAC_SECRETS_KEY.'))
  await using http = await startHttp({
    secrets: missing,
    putSecret: missing,
    deleteSecret: missing,
  })
  for (const answer of [
    await http.get(secrets),
    await send(http, 'PUT', `${secrets}/A`, 'value'),
  ]) {
    expect(answer.status).toBe(503)
    expect(await detail(answer)).toContain('TARMAC_SECRETS_KEY')
  }
})
