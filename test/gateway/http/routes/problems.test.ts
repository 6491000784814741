import { expect, test } from 'vitest'
import { problemCodes } from '../../../../api/problem/codes.ts'
import { startHttp } from '../start-http.ts'

test('the type of every problem is an address that explains it, as JSON or HTML, without a token', async () => {
  await using http = await startHttp()
  for (const code of problemCodes) {
    const json = await fetch(`${http.url}/problems/${code}`)
    expect(await json.json()).toMatchObject({
      type: `/problems/${code}`,
      code,
      title: expect.any(String),
      whoseFault: expect.any(String),
      worthRetrying: expect.any(String),
      exitCode: expect.any(Number),
    })
    const html = await fetch(`${http.url}/problems/${code}`, { headers: { Accept: 'text/html' } })
    expect(html.headers.get('content-type')).toContain('text/html')
    expect(await html.text()).toContain(`<code>${code}</code>`)
  }
})

test('an unknown code is not found', async () => {
  await using http = await startHttp()
  const answer = await fetch(`${http.url}/problems/no-such-code`)
  expect([answer.status, await answer.json()]).toMatchObject([404, { code: 'route-not-found' }])
})
