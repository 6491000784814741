import { createServer } from 'node:http'

const greeting = 'Hello from Tarmac'

const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.end(`${greeting}\nby a Dockerfile, on Node ${process.version}\n`)
})

server.listen(process.env.PORT ?? 8080, () => console.log(`listening on port ${server.address().port}`))

// Finishes what it is answering, then ends. Fly sends SIGINT unless fly.toml names another kill_signal.
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    server.close()
    server.closeIdleConnections()
  })
