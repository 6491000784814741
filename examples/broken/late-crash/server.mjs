import { createServer } from 'node:http'
import { connect } from 'node:net'

createServer((_, response) => response.end('hello\n')).listen(process.env.PORT ?? 8080)

// The first look at the database comes a moment after the start, and there is no database here.
setTimeout(() => connect(5432, '127.0.0.1'), 2000)
