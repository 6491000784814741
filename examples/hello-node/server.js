import { createServer } from 'node:http'
import ms from 'ms'

const greeting = 'Hello from Tarmac'

const server = createServer((request, response) => {
  if (request.url === '/health') return response.end('ok\n')
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.end(`${greeting}\nup for ${ms(Math.round(process.uptime() * 1000), { long: true })}\n`)
})

server.listen(process.env.PORT ?? 8080, () => console.log(`listening on port ${server.address().port}`))

// Finishes what it is answering, then ends. Fly sends SIGINT unless fly.toml names another kill_signal.
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    server.close()
    server.closeIdleConnections()
  })
