import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { WebSockets, socketLine, socketServer } from '../../bench/web-sockets.ts'

const program = `
import { createServer } from 'node:http'
const server = createServer().listen(0, () => console.log(server.address().port))
${socketServer}
`

test('held WebSockets are counted with the time of their cut and the notice that the app gave', async () => {
  const app = spawn(process.execPath, ['--input-type=module', '--eval', program])
  const [port] = await once(app.stdout, 'data')
  const lab = { apps: `http://127.0.0.1:${String(port).trim()}` }
  const held = await WebSockets.open(lab, 'app', 3)
  const untouched = await WebSockets.open(lab, 'app', 2)
  expect(untouched.end()).toMatchObject({
    open: 2,
    cut: 0,
    firstCutMs: null,
    longestNoticeMs: null,
  })

  held.start()
  app.kill('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 200))
  app.kill('SIGKILL')
  await once(app, 'exit')
  await expect.poll(() => held.cut).toBe(3)
  const facts = held.end()
  expect(facts).toMatchObject({ open: 3, cut: 3, unannounced: 0 })
  expect(facts.shortestNoticeMs).toBeGreaterThan(100)
  expect(facts.firstCutMs).toBeGreaterThanOrEqual(facts.shortestNoticeMs!)
  expect(socketLine(facts)).toMatch(
    /^3 WebSockets, 3 cut: \d\.\d to \d\.\d s after the deploy was asked for, \d\.\d to \d\.\d s after the app got its stop signal$/,
  )
})
