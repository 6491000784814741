import { expect, test } from 'vitest'
import {
  judgeReach,
  listenersOf,
  unknownReach,
  unprovenPorts,
} from '../../../../gateway/src/deploy/machines/reachability.ts'
import { servedPorts } from '#fly/machine.ts'

const web = { services: [{ protocol: 'tcp', internal_port: 8080 }] }
const program = (command: string, ...addresses: string[]) => ({
  command,
  listen_sockets: addresses.map((address) => ({ proto: 'tcp', address })),
})

test.each(['0.0.0.0:8080', '[::]:8080', '10.64.0.2:8080', '[fdaa:0:1::2]:8080', '*:8080'])(
  'a program on %s is reached',
  (address) => {
    const reach = judgeReach(web, [8080], [program('node server.mjs', address)])
    expect(reach).toEqual({ is: 'reached', text: '' })
  },
)

test.each([
  '127.0.0.1:8080',
  '127.8.0.1:8080',
  '[::1]:8080',
  '[::ffff:127.0.0.1]:8080',
  '[0:0:0:0:0:0:0:1]:8080',
  '0.0.0.0:80800',
  '0.0.0.0:3000',
])('a program on %s is not reached at 0.0.0.0:8080, and the warning names both', (address) => {
  const reach = judgeReach(web, [8080], [program('node server.mjs', address)])
  expect(reach).toEqual({
    is: 'silent',
    text: `Users cannot reach it: no program listens on 0.0.0.0:8080. What listens instead: node server.mjs on ${address}. The app must listen on 0.0.0.0:8080`,
  })
})

test('a variable PORT that names another port is part of the reason', () => {
  const config = { ...web, env: { PORT: '10000' } }
  const { text } = judgeReach(config, [8080], [program('app', '0.0.0.0:10000')])
  expect(text).toContain('The variable PORT is 10000, and internal_port is 8080')
})

test('without any socket it is not known what listens; beside Fly’s own program, nothing does', () => {
  expect(judgeReach(web, [8080], [program('app')])).toEqual({
    is: 'unknown',
    text: 'It is not known whether users reach port 8080: Fly shows no program that listens. The app must listen on 0.0.0.0:8080',
  })
  expect(judgeReach(web, [8080], []).is).toBe('unknown')
  const ssh = program('/.fly/hallpass', '[fdaa:0:1::2]:22')
  expect(judgeReach(web, [8080], [program('app'), ssh])).toMatchObject({
    is: 'silent',
    text: expect.stringContaining('Nothing else listens'),
  })
  expect(listenersOf([ssh])).toEqual([])
  expect(unknownReach([80, 81], 'why').text).toContain('reach ports 80, 81: why')
})

test('a check that connects to a port proves it, and a UDP service has no port to prove', () => {
  const service = (port: number, checks?: { port?: number }[]) => ({
    internal_port: port,
    ...(checks && { checks }),
  })
  const config = {
    services: [
      service(1),
      service(1),
      service(2, [{}]),
      service(3, [{ port: 4 }]),
      { protocol: 'udp', internal_port: 5 },
      service(6),
    ],
    checks: { up: { port: 6 } },
  }
  expect(servedPorts(config)).toEqual([1, 2, 3, 6])
  expect(unprovenPorts(config)).toEqual([1, 3])
})
