import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A bare server in a process of its own: it answers every request with the bytes that it is sent. */
let page: Buffer = Buffer.alloc(0)
process.on('message', (text: string) => {
  page = Buffer.from(text)
  process.send!('page is set')
})
const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page)
})
server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
