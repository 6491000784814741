import { z } from 'zod'
import { idleStop, list, port, text, whole } from './kinds.ts'
import { setting } from './setting.ts'

const tokens = list.refine(
  (all) => all.every((token) => token.length >= 16),
  'a token has at least 16 characters',
)

const keyRule = 'must be 32 bytes as base64 or hex'
const keyOf = (text: string): Buffer =>
  Buffer.from(text, /^[\da-f]{64}$/i.test(text) ? 'hex' : 'base64')
const secretsKey = z
  .string()
  .transform((value) => (value === '' ? null : keyOf(value)))
  .refine((key) => key === null || key.length === 32, keyRule)
const secretsKeys = list
  .transform((values) => values.map(keyOf))
  .refine((keys) => keys.every(({ length }) => length === 32), `each ${keyRule}`)

export const server = {
  http: z.object({
    host: setting('TARMAC_HOST', text, '127.0.0.1').describe(
      'Address to listen on. Any address but loopback needs TARMAC_TOKENS.',
    ),
    port: setting('TARMAC_PORT', port, 8080).describe('Port of the HTTP interface.'),
  }),
  /** Separate, so that the rest may be logged. */
  secrets: z.object({
    tokens: setting('TARMAC_TOKENS', tokens, '').describe(
      'Tokens that callers may use, separated by commas. Each has at least 16 characters.',
    ),
    key: setting('TARMAC_SECRETS_KEY', secretsKey, '').describe(
      'Key that encrypts stored secrets: 32 bytes as base64 or hex (`openssl rand -base64 32`). Without it, the gateway accepts no secrets. To replace it, see secrets.md.',
    ),
    oldKeys: setting('TARMAC_SECRETS_OLD_KEYS', secretsKeys, '').describe(
      'Keys that TARMAC_SECRETS_KEY has replaced, separated by commas. The gateway encrypts what they encrypted again, with the new key. `tarmac builder status` says when they may be removed.',
    ),
    fly: setting('TARMAC_FLY_TOKEN', text, '').describe('Token for Fly’s APIs and the registry.'),
  }),
  idleStop: setting('TARMAC_IDLE_STOP', idleStop, '').describe(
    'Seconds without work after which the gateway ends, so that its machine of Fly stops; the next request starts it. `off`: never. Default: 600 in a machine of Fly, else `off`. See operate.md.',
  ),
  data: setting('TARMAC_DATA', text, '/data').describe(
    'The volume, for uploads, source trees and the database. See volumes.md.',
  ),
  goBackTo: setting('TARMAC_GO_BACK_TO', text, '').describe(
    'Only `tarmac upgrade` sets it, after a new image that did not work: a copy of the records on the volume. The gateway takes it once, if the records are of a newer gateway.',
  ),
  uid: setting('TARMAC_UID', whole({ min: 0, max: 2 ** 31 }), 0).describe(
    'User id of the gateway. Started as root, it runs as this user, and a small process beside it stays root for the build daemon, the firewall and the sandbox. 0: it stays the user that started it.',
  ),
  privileged: setting('TARMAC_PRIVILEGED', text, '').describe('Set by that process: its socket.'),
  logLevel: setting(
    'TARMAC_LOG_LEVEL',
    z.enum(['debug', 'info', 'warn', 'error', 'silent']),
    'info',
  ).describe('The least severe entries of the operator’s log.'),
}

export const testing = {
  bootIdFile: setting('TARMAC_BOOT_ID_FILE', text, '/proc/sys/kernel/random/boot_id').describe(
    'Only for Tarmac’s own tests: the file with the id of this boot of the machine.',
  ),
  crashFile: setting('TARMAC_CRASH_FILE', text, '').describe(
    'Only for Tarmac’s own tests: a file that orders the gateway to die at a named point.',
  ),
}
