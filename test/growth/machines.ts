import type { DesiredApp } from '../../gateway/src/deploy/config/desired-app.ts'
import { failingChecks, isHealthy, shownOf } from '../../gateway/src/deploy/machines/checks.ts'
import {
  explainMachine,
  spawnError,
  startError,
} from '../../gateway/src/deploy/machines/failures.ts'
import { linesOfVersion } from '../../gateway/src/deploy/machines/program-output.ts'
import { judgeReach } from '../../gateway/src/deploy/machines/reachability.ts'
import { refuseForeignImages } from '../../gateway/src/deploy/preflight/foreign-images.ts'
import type { Machine } from '#fly/machine.ts'
import { hostileTexts, listed, repeated, type Shapes } from './growth.ts'

const machine: Machine = {
  id: 'm1',
  name: 'one',
  state: 'failed',
  region: 'fra',
  instance_id: '01A',
  config: {},
}
const failed = (error: string): Machine => ({
  ...machine,
  events: [{ type: 'start', status: 'failed', timestamp: 1, request: { error } }],
})
const checked = (output: string): Machine => ({
  ...machine,
  state: 'started',
  checks: [{ name: 'up', status: 'critical', output }],
})
const web = { services: [{ internal_port: 8080 }] }
const listening = (address: string) => ({ command: 'app', listen_sockets: [{ address }] })
const withCheck = (image: string) =>
  ({ groups: [{ name: 'app', config: {}, machineChecks: [{ image }] }] }) as unknown as DesiredApp
const read = (text: string) => linesOfVersion([{ at: 1, text }], machine)

/** What Fly answers about machines. Their programs choose the texts. */
export const machines: Record<string, Shapes> = {
  'gateway/src/deploy/preflight/foreign-images.ts › refuseForeignImages': hostileTexts((text) =>
    refuseForeignImages(withCheck(text), 'web', 'registry.fly.io'),
  ),
  'gateway/src/deploy/machines/failures.ts › startError': hostileTexts((text) =>
    startError(failed(text)),
  ),
  'gateway/src/deploy/machines/failures.ts › spawnError': {
    ...hostileTexts((text) => spawnError([text])),
    'many lines': (size) => () => spawnError(listed(size, 20, () => 'failed to spawn nothing')),
  },
  'gateway/src/deploy/machines/failures.ts › explainMachine': hostileTexts((text) =>
    explainMachine(checked(text)),
  ),
  'gateway/src/deploy/machines/checks.ts › failingChecks': hostileTexts((text) =>
    failingChecks(checked(text)),
  ),
  'gateway/src/deploy/machines/checks.ts › shownOf': hostileTexts(shownOf),
  'gateway/src/deploy/machines/checks.ts › isHealthy': hostileTexts((text) =>
    isHealthy(checked(text)),
  ),
  'gateway/src/deploy/machines/program-output.ts › linesOfVersion': {
    ...hostileTexts(read),
    'a line of spaces': (size) => () => read(repeated(' ', size)),
    'a line of digits in brackets': (size) => () => read(`[${repeated('1', size)}`),
    'many lines': (size) => () =>
      linesOfVersion(
        listed(size, 10, (at) => ({ at, text: ' INFO Starting init (' })),
        machine,
      ),
  },
  'gateway/src/deploy/machines/reachability.ts › judgeReach': {
    ...hostileTexts((text) => judgeReach(web, [8080], [listening(text)])),
    'many programs': (size) => () =>
      judgeReach(
        web,
        [8080],
        listed(size, 50, (at) => listening(`[::1]:${at}`)),
      ),
    'an address of zeros': (size) => () =>
      judgeReach(web, [8080], [listening(repeated('0:', size))]),
  },
}
