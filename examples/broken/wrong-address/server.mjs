import { createServer } from 'node:http'

const server = createServer((_, response) => response.end('hello\n'))
server.listen(3000, '127.0.0.1', () => console.log('Listening on http://127.0.0.1:3000'))
