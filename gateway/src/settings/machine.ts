import { z } from 'zod'
import { countOrNone, text } from './kinds.ts'
import { setting } from './setting.ts'

const setByFly = (name: string, about: string) =>
  setting(name, text, '').describe(`Set by Fly: ${about}.`)

/**
 * What Fly says of the machine that the gateway runs in. Proves nothing: a host may set these too.
 * See `ownMachine`.
 */
export const machine = {
  machine: z.object({
    app: setByFly('FLY_APP_NAME', 'the app of the gateway’s machine'),
    id: setByFly('FLY_MACHINE_ID', 'the id of the gateway’s machine, which is its host name too'),
    region: setByFly('FLY_REGION', 'the region of the gateway’s machine'),
    image: setByFly('FLY_IMAGE_REF', 'the image that the gateway’s machine runs'),
    version: setByFly('FLY_MACHINE_VERSION', 'the version of the gateway’s machine'),
    privateIp: setByFly('FLY_PRIVATE_IP', 'the 6PN address of the gateway’s machine'),
    memoryMb: setting('FLY_VM_MEMORY_MB', countOrNone, 0).describe(
      'Set by Fly: the memory of the gateway’s machine, in MB.',
    ),
  }),
}
