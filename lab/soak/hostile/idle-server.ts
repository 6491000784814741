import { createServer } from 'node:http'

// An otherwise idle Node server. The soak compares the gateway's `/healthz` with it. It sends its
// port to its parent.

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end('{"ok":true}')
})
server.listen(0, '127.0.0.1', () => process.send!((server.address() as { port: number }).port))
process.once('disconnect', () => process.exit(0))
