import { gzipSync } from 'node:zlib'
import { filesOf } from './archive.ts'

/** A page that busybox serves, different for each text. Build and deploy take a few seconds. */
export const honestSource = (text: string): Buffer =>
  gzipSync(filesOf({ Dockerfile: dockerfile, 'index.html': text }))

const dockerfile = `FROM alpine
ARG FRESH
RUN echo "$FRESH"
COPY index.html /www/
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
`
