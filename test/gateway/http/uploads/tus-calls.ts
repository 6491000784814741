import { authorization } from '../start-http.ts'

export const octets = 'application/offset+octet-stream'
/** `Upload-Metadata` of an upload for `shop`. */
export const forShop = `app ${Buffer.from('shop').toString('base64')}`

type Headers = Record<string, string>
type More = { body?: string | Buffer; token?: Headers; path?: string }

/** Sends one request of tus, without the words that each of them has. */
export async function tus(
  url: string,
  method: string,
  headers: Headers = {},
  { body, token = authorization, path = '/v1/uploads' }: More = {},
) {
  const to = path.startsWith('/') ? path : `/v1/uploads/${path}`
  const answer = await fetch(url + to, {
    method,
    headers: { ...token, 'Tus-Resumable': '1.0.0', ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : new Uint8Array(body) }),
  })
  const text = await answer.text()
  return {
    status: answer.status,
    headers: answer.headers,
    problem: text === '' ? null : (JSON.parse(text) as { code: string; detail: string }),
    get: (name: string) => answer.headers.get(name),
  }
}

/** Makes an upload for `shop`, and returns its address. */
export async function made(url: string, length: number, more: Headers = {}, rest: More = {}) {
  const headers = { 'Upload-Length': String(length), 'Upload-Metadata': forShop, ...more }
  const answer = await tus(url, 'POST', headers, rest)
  if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(answer.problem)}`)
  return answer.get('Location')!
}

/** Sends a part of an upload. */
export const patch = (
  url: string,
  path: string,
  {
    at,
    body,
    ...more
  }: { at: number | string; body: string | Buffer; headers?: Headers; token?: Headers },
) =>
  tus(
    url,
    'PATCH',
    { 'Content-Type': octets, 'Upload-Offset': String(at), ...more.headers },
    { body, path, ...(more.token && { token: more.token }) },
  )

/** The offset that the gateway says. */
export const offsetOf = async (url: string, path: string) =>
  (await tus(url, 'HEAD', {}, { path })).get('Upload-Offset')
