import { z } from 'zod'
import { count, countOrNone, number, text, whole } from './kinds.ts'
import { setting } from './setting.ts'

const setByFly = (name: string, about: string) =>
  setting(name, text, '').describe(`Set by Fly: ${about}.`)

/**
 * What Fly says of the machine that the gateway runs in. Proves nothing: a host may set these too.
 * See `ownMachine`.
 */
export const machine = {
  /** How the gateway extends its own volume, where Fly does not. See volumes.md. */
  volume: z.object({
    limitGb: setting('TARMAC_VOLUME_LIMIT_GB', whole({ min: 0, max: 500 }), 0).describe(
      'Size in GB up to which the gateway extends its own volume on Fly; 0: never. Where the volume’s mount grows by itself, as tarmac up makes it, Fly does it and this setting is not used.',
    ),
    addGb: setting('TARMAC_VOLUME_ADD_GB', count, 10).describe(
      'GB by which the gateway extends its volume each time.',
    ),
    thresholdPercent: setting('TARMAC_VOLUME_THRESHOLD', number({ min: 50, max: 99 }), 80).describe(
      'Percent of the volume in use at which the gateway extends it.',
    ),
  }),
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
