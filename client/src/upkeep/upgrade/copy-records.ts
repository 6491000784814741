import { Problem } from '#api/problem.ts'
import type { MachineRef } from '#fly/machine.ts'
import type { FlyParts } from '../../up/fly-parts.ts'

/** The copy of the records before an upgrade, on the volume. The next upgrade replaces it. */
export const recordsCopy = '/data/before-upgrade.db'
/** The gateway's setting that names a copy to go back to. */
export const goBackSetting = 'TARMAC_GO_BACK_TO'

/** Fly ends a command after a minute. */
const seconds = 55

/** Copies the records on the builder's volume: a newer gateway changes them for good. */
export async function copyRecords(fly: FlyParts, ref: MachineRef): Promise<void> {
  const script = [
    `rm -f ${recordsCopy}`,
    `tarmac-gateway backup ${recordsCopy}`,
    // The command runs as root, and the gateway does not.
    `chown --reference=/data/tarmac.db ${recordsCopy}`,
  ].join(' && ')
  const said = await fly.builder.exec(ref, { command: ['sh', '-c', script], seconds }, fly.signal)
  if ((said.exit_code ?? 0) === 0)
    return fly.report(`machine ${ref.id}: records copied to ${recordsCopy}`)
  throw new Problem(
    'builder-failed',
    `The records could not be copied before the upgrade, so nothing was changed: ${`${said.stderr ?? ''}${said.stdout ?? ''}`.trim()}`,
  )
}
