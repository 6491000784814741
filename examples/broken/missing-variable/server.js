import { createServer } from 'node:http'

const { DATABASE_URL, PORT = 8080 } = process.env
if (!DATABASE_URL) throw new Error('DATABASE_URL is not set')

createServer((_, response) => response.end('hello\n')).listen(PORT)
