import { lab } from './open-page.ts'

/** Calls the API of the shared lab as its operator. Throws for a refusal. */
export async function askLab<T>(method: string, path: string, body?: object): Promise<T> {
  const answer = await fetch(lab.gateway + path, {
    method,
    headers: {
      authorization: `Bearer ${lab.token}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return JSON.parse(text || 'null') as T
}

export const phone = { viewport: { width: 360, height: 740 }, colorScheme: 'dark' } as const
