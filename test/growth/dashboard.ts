import type { IncomingMessage } from 'node:http'
import type { Request } from 'express'
import type { DeploymentEvent } from '../../api/event.ts'
import { showControls } from '../../api/text/visible-text.ts'
import { coloured } from '../../gateway/src/http/dashboard/log/coloured.ts'
import { groupName } from '../../gateway/src/http/dashboard/log/group-heading.ts'
import { LogModel } from '../../gateway/src/http/dashboard/log/log-model.ts'
import { windowOf } from '../../gateway/src/http/dashboard/log/read-log.ts'
import { attributes, html, safeUrl } from '../../gateway/src/http/dashboard/parts/html.ts'
import { sessionCookieOf } from '../../gateway/src/http/dashboard/session/cookie.ts'
import { ownPage, pageBefore } from '../../gateway/src/http/dashboard/session/login-page.ts'
import { isForEvents, isForLogFile, logIdsOf } from '../../gateway/src/http/log/log-address.ts'
import { hostileTexts, listed, repeated, type Shapes } from './growth.ts'

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
  'gateway/src/http/dashboard/log/coloured.ts › coloured': {
    ...hostileTexts(coloured),
    ...hostileTexts(coloured, (text) => `\x1b[31m${text}`),
    'many looks': (size) => {
      const line = repeated('\x1b[1;38;5;200ma', size)
      return () => coloured(line)
    },
  },
  'gateway/src/http/dashboard/log/group-heading.ts › groupName': hostileTexts((name) =>
    groupName({ name }),
  ),
  'gateway/src/http/dashboard/log/log-model.ts › LogModel': {
    ...hostileTexts((text) => {
      const model = new LogModel({ last: 100 })
      model.take({ seq: 1, at: '2026', type: 'log', step: null, stream: 'stdout', text })
      return model
    }),
    'many lines of many steps': (size) => {
      const events = listed(size, 10, (seq): DeploymentEvent => {
        const step = String(seq % 1000)
        return seq < 1000
          ? { seq, at: '2026', type: 'step', step, name: step, status: 'started' }
          : { seq, at: '2026', type: 'log', step, stream: 'stdout', text: 'a\n' }
      })
      return () => {
        const model = new LogModel({ last: 10 })
        for (const event of events) model.take(event)
      }
    },
  },
  'gateway/src/http/dashboard/log/read-log.ts › windowOf': hostileTexts((text) =>
    windowOf(new URLSearchParams({ step: text, from: text })),
  ),
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
