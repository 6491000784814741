import { Readable } from 'node:stream'
import { tarEnd, tarHeader, tarPadding } from '#api/tar-writer.ts'

/**
 * A page, by busybox: some images of alpine have its httpd, and all have its nc, which serves one
 * request after the other.
 */
const serve =
  "echo tarmac-doctor serves; httpd -f -p 8080 -h /www || while true; do { printf 'HTTP/1.0 200 OK\\r\\n\\r\\n'; cat /www/index.html; } | nc -l -p 8080; done"

/** The least app that shows everything: a step that runs, and a program that listens. */
const files = {
  Dockerfile: `FROM alpine
RUN mkdir /www && echo tarmac-doctor > /www/index.html
CMD ${JSON.stringify(['sh', '-c', serve])}
`,
  'fly.toml': `[http_service]
internal_port = 8080
`,
}

/** The archive of a tiny app. */
export function liveSource(): Readable {
  const time = new Date()
  const entries = Object.entries(files).flatMap(([path, text]) => {
    const bytes = Buffer.from(text)
    const entry = { type: 'file', path, mode: 0o644, sizeBytes: bytes.length } as const
    return [tarHeader(entry, time), bytes, tarPadding(bytes.length)]
  })
  return Readable.from([...entries, tarEnd])
}
