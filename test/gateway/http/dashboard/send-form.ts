import { randomUUID } from 'node:crypto'
import { ask, formKeyIn, logIn, post } from './as-browser.ts'

type Server = { url: string }

/** A browser of the operator: it reads pages, and sends their forms from there. */
export async function openBrowser(server: Server, token?: string) {
  const at = server as Parameters<typeof ask>[0]
  const cookie = await logIn(at, token)
  const read = async (path: string) => {
    const answer = await ask(at, path, { cookie })
    return { status: answer.status, text: await answer.text() }
  }
  const formKey = formKeyIn((await read('/ui/callers')).text)
  return {
    read,
    /** Sends a form of a page as a browser does. */
    send: async (page: string, action: string, fields: Record<string, string>) => {
      const own = { 'form-key': formKey, 'request-key': `ui-${randomUUID()}` }
      const headers = { referer: server.url + page }
      const answer = await post(at, action, { ...fields, ...own }, { cookie, headers })
      return {
        status: answer.status,
        next: answer.headers.get('location'),
        retryAfter: answer.headers.get('retry-after'),
        text: await answer.text(),
      }
    },
  }
}
