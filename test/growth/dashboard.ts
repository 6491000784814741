import type { IncomingMessage } from 'node:http'
import type { Request } from 'express'
import { showControls } from '../../api/text/visible-text.ts'
import { attributes, html, safeUrl } from '../../gateway/src/http/dashboard/parts/html.ts'
import { sessionCookieOf } from '../../gateway/src/http/dashboard/session/cookie.ts'
import { ownPage, pageBefore } from '../../gateway/src/http/dashboard/session/login-page.ts'
import { isForEvents, isForLogFile, logIdsOf } from '../../gateway/src/http/log/log-address.ts'
import { hostileTexts, type Shapes } from './growth.ts'

const request = (more: object) => ({ method: 'GET', headers: {}, ...more }) as IncomingMessage
const address = (text: string) => request({ url: `/v1/deployments/${text}` })

/** What pages show may be a megabyte long. Addresses and headers have 16 KiB at most. */
export const dashboard: Record<string, Shapes> = {
  'gateway/src/http/dashboard/parts/html.ts › html': {
    ...hostileTexts((text) => html`<p title="${text}">${text}</p>`),
    ...hostileTexts((text) => html`<a href="${text}">a</a><a href="/a/${text}">a</a>`),
  },
  'gateway/src/http/dashboard/parts/html.ts › attributes': hostileTexts((title) =>
    attributes({ title }),
  ),
  'gateway/src/http/dashboard/parts/html.ts › safeUrl': hostileTexts(safeUrl),
  'api/text/visible-text.ts › showControls': hostileTexts(showControls),
  'gateway/src/http/dashboard/session/cookie.ts › sessionCookieOf': {
    ...hostileTexts((cookie) => sessionCookieOf(request({ url: '/ui', headers: { cookie } }))),
    ...hostileTexts((text) => sessionCookieOf(request({ url: `/ui${text}` }))),
  },
  'gateway/src/http/dashboard/session/login-page.ts › ownPage': {
    ...hostileTexts(ownPage),
    ...hostileTexts((text) => ownPage(`/ui/${text}`)),
  },
  'gateway/src/http/dashboard/session/login-page.ts › pageBefore': hostileTexts((text) =>
    pageBefore(
      request({ method: 'POST', headers: { referer: `http://a/ui?next=${text}` } }) as Request,
    ),
  ),
  'gateway/src/http/log/log-address.ts › logIdsOf': hostileTexts((text) => logIdsOf(address(text))),
  'gateway/src/http/log/log-address.ts › isForEvents': hostileTexts((text) =>
    isForEvents(address(text)),
  ),
  'gateway/src/http/log/log-address.ts › isForLogFile': hostileTexts((text) =>
    isForLogFile(address(text)),
  ),
}
