import { expect } from 'vitest'
import { type startHttp, token } from '../start-http.ts'

export type Server = Awaited<ReturnType<typeof startHttp>>

/** A request as a browser sends it. */
export const ask = (server: Server, path: string, more: RequestInit & { cookie?: string } = {}) =>
  fetch(server.url + path, {
    redirect: 'manual',
    ...more,
    headers: {
      accept: 'text/html, */*;q=0.8',
      ...(more.cookie && { cookie: more.cookie }),
      ...(more.method === 'POST' && { origin: server.url }),
      ...(more.headers as Record<string, string>),
    },
  })
export const post = (server: Server, path: string, fields: Record<string, string>, more = {}) =>
  ask(server, path, { method: 'POST', body: new URLSearchParams(fields), ...more })

/** Logs in by the form. Returns the cookie. */
export async function logIn(server: Server, with_ = token, headers = {}): Promise<string> {
  const answer = await post(server, '/ui/login', { token: with_ }, { headers })
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/ui'])
  return answer.headers.get('set-cookie')!.split(';')[0]!
}
export const formKeyIn = (page: string) => /name="form-key" value="([\w-]+)"/.exec(page)![1]!
