import { expect, test } from 'vitest'
import { Problem } from '../../../../api/problem.ts'
import { startHttp } from '../start-http.ts'
import { ask, formKeyIn, logIn, post, type Server } from './as-browser.ts'

/** Opens a page, and sends a form of it as a browser does. */
async function send(server: Server, page: string, action: string, fields: Record<string, string>) {
  const cookie = await logIn(server)
  const key = formKeyIn(await (await ask(server, page, { cookie })).text())
  const headers = { referer: server.url + page }
  const answer = await post(server, action, { ...fields, 'form-key': key }, { cookie, headers })
  return { answer, text: await answer.text() }
}

test('a form that is refused comes back open, with what was typed and why, beside its field', async () => {
  await using server = await startHttp()
  const typed = { name: 'x y', scopes: 'read', apps: 'web, <b>', expires: '30d' }
  const { answer, text } = await send(server, '/ui/callers', '/ui/callers/tokens', typed)
  expect([answer.status, answer.headers.get('location')]).toEqual([422, null])
  expect(text).toContain('<h1>Callers</h1>')
  expect(text).toMatch(/role="alert"[^]*The option name is invalid/)
  expect(text).toContain('data-page="/ui/callers"')
  const form = /<details id="new-token-form"[^]*?<\/details>/.exec(text)![0]
  expect(form).toMatch(/^<details id="new-token-form"[^>]* open/)
  expect(form).toMatch(/name="name"[^>]*value="x y"[^>]*aria-invalid="true"[^>]*autofocus/)
  expect(form).toMatch(/<span class="bad lines">The option name is invalid/)
  expect(form).toContain('value="web, &lt;b&gt;"')
  expect(form).toContain('value="30d"')
  expect(form).toMatch(/value="read"\s+checked/)
  expect(form).not.toMatch(/value="deploy"\s+checked/)
})

test('of several forms at one address, only the one that was sent comes back', async () => {
  await using server = await startHttp()
  await send(server, '/ui/callers', '/ui/callers/teams', { name: 'blue' })
  const page = '/ui/callers/teams/blue'
  const fields = { what: 'addMember', name: 'no name' }
  const { answer, text } = await send(server, page, `${page}/change`, fields)
  expect(answer.status).toBe(422)
  expect(text).toMatch(/<details id="addMember"[^>]* open/)
  expect(text).not.toMatch(/<details id="addApp"[^>]* open/)
  expect(text.match(/value="no name"/g)).toHaveLength(1)
})

test('quotas of a team change by a form, and a wrong one says which', async () => {
  await using server = await startHttp()
  await send(server, '/ui/callers', '/ui/callers/teams', { name: 'blue' })
  const page = '/ui/callers/teams/blue'
  const set = await send(server, page, `${page}/quotas`, { builds: '3', queue: 'none' })
  expect(set.answer.headers.get('location')).toBe(`${page}#quotas`)
  const { answer, text } = await send(server, page, `${page}/quotas`, { builds: '0', queue: '' })
  expect(answer.status).toBe(422)
  expect(text).toMatch(/name="builds"[^>]*value="0"[^>]*aria-invalid="true"/)
  expect(text).toMatch(/3\s+builds at once/)
})

test('without a page that it came from, a refused form is a page that says why, and when to come again', async () => {
  await using server = await startHttp({
    cancel: () =>
      Promise.reject(
        new Problem('quota-reached', 'Too many.', { facts: { retryAfterSeconds: 77 } }),
      ),
  })
  const { id } = await server.create()
  const path = `/ui/deployments/${id}/cancel`
  const { answer, text } = await send(server, path, path, { abort: 'true' })
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '77'])
  expect(text).toMatch(/name="abort"[^>]*checked/)
  const cookie = await logIn(server)
  const key = formKeyIn(await (await ask(server, path, { cookie })).text())
  const bare = await post(server, path, { 'form-key': key }, { cookie })
  expect([bare.status, bare.headers.get('retry-after')]).toEqual([429, '77'])
  expect(await bare.text()).toContain('<h1>A quota is reached</h1>')
})

test('a rule for jobs of a CI is added by a form', async () => {
  await using server = await startHttp()
  const rule = {
    name: 'github',
    issuer: 'https://token.actions.githubusercontent.com',
    aud: 'https://gateway.test',
    claims: 'repository: acme/shop\r\nref: refs/heads/main\nref: refs/tags/*',
    scopes: 'deploy',
    apps: 'shop, pr-*',
  }
  const wrong = { ...rule, claims: 'repository' }
  const refused = await send(server, '/ui/callers', '/ui/callers/rules', wrong)
  expect(refused.answer.status).toBe(422)
  expect(refused.text).toMatch(/A claim is written as name: pattern, not repository/)
  const { answer } = await send(server, '/ui/callers', '/ui/callers/rules', rule)
  expect(answer.headers.get('location')).toBe('/ui/callers#rules')
  const cookie = await logIn(server)
  const page = await (await ask(server, '/ui/callers', { cookie })).text()
  expect(page).toContain('repository: acme/shop; ref: refs/heads/main or refs/tags/*')
  expect(page).toContain('No quota limits you.')
})
