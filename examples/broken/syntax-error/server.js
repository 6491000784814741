import { createServer } from 'node:http'

const server = createServer((request, response) => {
  response.end('hello\n')
}

server.listen(process.env.PORT ?? 8080)
