import type { IncomingMessage } from 'node:http'
import type { Request } from 'express'
import { operatorTokens } from '../../gateway/src/callers/authenticate.ts'
import { authorizer, prover } from '../../gateway/src/http/auth.ts'
import { readCancelRequest } from '../../gateway/src/http/routes/cancel-deployment.ts'
import { idempotencyKeyOf } from '../../gateway/src/http/routes/create-deployment.ts'
import { filterOf } from '../../gateway/src/http/log/filter.ts'
import { asObject, parseJson } from '../../gateway/src/http/body/json.ts'
import { assertOneHost } from '../../gateway/src/http/body/request-form.ts'
import { isLoopbackHost } from '../../gateway/src/http/loopback-host.ts'
import { booleanQuery, knownQuery, pageQuery, wholeNumber } from '../../gateway/src/http/query.ts'
import { readImageSource, readSource } from '../../gateway/src/http/body/read-source.ts'
import {
  readMetadata,
  readNewUpload,
  readPart,
  wholeHeader,
} from '../../gateway/src/http/routes/uploads/read-headers.ts'
import { appParam } from '../../gateway/src/http/body/upload.ts'
import { NewToken } from '../../api/callers/token.ts'
import { readToken } from '../../gateway/src/callers/tokens/token-text.ts'
import { readRequest } from '../../gateway/src/http/body/read-request.ts'
import { SlowGuesses } from '../../gateway/src/http/slow-guesses.ts'
import { refuseTokenInAddress } from '../../gateway/src/http/token-in-address.ts'
import { hostileTexts, listed, repeated, type Shapes } from './growth.ts'

const withHeaders = (headers: Record<string, string>) =>
  ({ headers, headersDistinct: {}, socket: {} }) as IncomingMessage
const withHost = (host: string) =>
  ({ httpVersion: '1.1', headersDistinct: { host: [host] } }) as unknown as IncomingMessage
const withQuery = (query: Record<string, string>) =>
  ({ url: `/?${new URLSearchParams(query).toString()}`, headers: {} }) as Request
const refused = (run: () => unknown) => {
  try {
    run()
  } catch {
    // the answer does not matter here
  }
}
const authorize = (headers: Record<string, string>) =>
  void authorizer(prover(operatorTokens(['a'])), null)(withHeaders(headers)).catch(() => {})

type Headers = Parameters<typeof readNewUpload>[0]
const always = (text: string) => ({ get: () => text }) as unknown as Headers
const newUpload = (more: Record<string, string>): Headers => {
  const headers: Record<string, string> = {
    'Upload-Length': '1',
    'Upload-Metadata': 'app c2hvcA==',
    ...more,
  }
  return { get: ((name: string) => headers[name]) as Headers['get'] }
}
const partRequest = (checksum: string) =>
  ({
    headers: { 'content-type': 'application/offset+octet-stream' },
    get: () => checksum,
  }) as unknown as Request

// Node accepts at most 16 KiB of request line and headers. Their parsers are linear without that
// limit.
export const http: Record<string, Shapes> = {
  'gateway/src/http/body/json.ts › parseJson': {
    ...hostileTexts(parseJson),
    'lists in lists': (size) => () => parseJson('['.repeat(size)),
    'many fields': (size) => {
      const text = JSON.stringify(Object.fromEntries(listed(size, 12, (at) => [`a${at}`, 1])))
      return () => parseJson(text)
    },
  },
  'gateway/src/http/body/read-request.ts › readRequest': {
    ...hostileTexts((text) => refused(() => readRequest(NewToken, { name: text }))),
    ...hostileTexts((text) => refused(() => readRequest(NewToken, { scopes: [text] }))),
  },
  'gateway/src/callers/tokens/token-text.ts › readToken': {
    ...hostileTexts(readToken),
    ...hostileTexts((text) => readToken(`tmc_${text}`)),
  },
  'gateway/src/http/token-in-address.ts › refuseTokenInAddress': {
    ...hostileTexts((text) => refused(() => refuseTokenInAddress({ url: `/?a=${text}` }))),
    'beginnings of tokens': (size) => {
      const url = `/?${repeated('tmc_', size)}`
      return () => refused(() => refuseTokenInAddress({ url }))
    },
  },
  'gateway/src/http/slow-guesses.ts › SlowGuesses': hostileTexts(
    (text) => void new SlowGuesses().delay(text),
  ),
  'gateway/src/http/body/json.ts › asObject': hostileTexts(asObject),
  'gateway/src/http/body/request-form.ts › assertOneHost': hostileTexts((host) =>
    refused(() => assertOneHost(withHost(host))),
  ),
  'gateway/src/http/loopback-host.ts › isLoopbackHost': hostileTexts(isLoopbackHost),
  'gateway/src/http/auth.ts › authorizer': {
    ...hostileTexts((text) => authorize({ authorization: text })),
    ...hostileTexts((text) => authorize({ authorization: `Bearer ${text}` })),
    ...hostileTexts((text) => authorize({ origin: text, host: text })),
  },
  'gateway/src/http/query.ts › wholeNumber': hostileTexts((text) => wholeNumber('a', text)),
  'gateway/src/http/query.ts › pageQuery': hostileTexts((text) =>
    pageQuery(new URLSearchParams({ cursor: text, limit: text })),
  ),
  'gateway/src/http/query.ts › knownQuery': {
    'many options': (size) => {
      const request = { url: `/?${repeated('a=b&', size)}`, headers: {} }
      return () => booleanQuery(knownQuery(request, 'a'), 'b')
    },
  },
  'gateway/src/http/routes/cancel-deployment.ts › readCancelRequest': hostileTexts((text) =>
    readCancelRequest(withQuery({ by: text, why: text })),
  ),
  'gateway/src/http/routes/create-deployment.ts › idempotencyKeyOf': hostileTexts((text) =>
    idempotencyKeyOf({ get: () => text } as unknown as Request),
  ),
  'gateway/src/http/body/upload.ts › appParam': hostileTexts((app) =>
    appParam({ params: { app } } as unknown as Request),
  ),
  'gateway/src/http/routes/uploads/read-headers.ts › readMetadata': {
    ...hostileTexts((text) => readMetadata(text)),
    ...hostileTexts((text) => readMetadata(`app ${text}`)),
    'many pairs': (size) => {
      const pairs = listed(size, 15, (at) => `k${at} c2hvcA==`).join(',')
      return () => readMetadata(pairs)
    },
  },
  'gateway/src/http/routes/uploads/read-headers.ts › readNewUpload': {
    ...hostileTexts((text) => readNewUpload(always(text), 1)),
    ...hostileTexts((text) => readNewUpload(newUpload({ 'Repr-Digest': text }), 1)),
  },
  'gateway/src/http/routes/uploads/read-headers.ts › readPart': hostileTexts((text) =>
    readPart(partRequest(text), 0),
  ),
  'gateway/src/http/routes/uploads/read-headers.ts › wholeHeader': hostileTexts((text) =>
    wholeHeader(always(text), 'Upload-Offset'),
  ),
  'gateway/src/http/body/read-source.ts › readImageSource': hostileTexts((image) =>
    readImageSource({ image }),
  ),
  'gateway/src/http/body/read-source.ts › readSource': {
    ...hostileTexts((upload) => readSource({ upload })),
    ...hostileTexts((image) => readSource({ image })),
    ...hostileTexts((owner) => readSource({ release: 1, owner, app: owner })),
    'many unknown fields': (size) => {
      const source = Object.fromEntries(
        listed(size, 10, (at) => `a${at}`).map((name) => [name, name]),
      )
      return () => readSource({ ...source, image: 'a' })
    },
  },
  'gateway/src/http/log/filter.ts › filterOf': {
    ...hostileTexts((text) => filterOf(withQuery({ step: text }))),
    'many types, many events': (size) => {
      const { keeps } = filterOf(withQuery({ only: repeated('note,', size).slice(0, -1) }))
      const events = listed(size, 10, () => ({ type: 'log', step: 'a' }))
      return () => events.filter((event) => keeps(event as never))
    },
  },
}
