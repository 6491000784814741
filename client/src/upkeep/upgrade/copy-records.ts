import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { statusOf } from '#fly/fly-calls.ts'
import type { MachineRef } from '#fly/machine.ts'
import type { FlyParts } from '../../up/fly-parts.ts'

/** The copy of the records before an upgrade, on the volume. The next upgrade replaces it. */
export const recordsCopy = '/data/before-upgrade.db'

const draft = `${recordsCopy}.new`

/** Fly ends a command after a minute. */
const seconds = 55

/** Copies the records on the builder's volume: a newer gateway changes them for good. */
export async function copyRecords(fly: FlyParts, ref: MachineRef): Promise<void> {
  const script = [
    `rm -f ${draft}`,
    `tarmac-gateway backup ${draft}`,
    // The command runs as root, and the gateway does not.
    `chown --reference=/data/tarmac.db ${draft}`,
    // The copy of an earlier upgrade goes when there is a new one.
    `mv ${draft} ${recordsCopy}`,
  ].join(' && ')
  const command = ['sh', '-c', script]
  const why = await fly.builder.exec(ref, { command, seconds }, fly.signal).then(
    (said) => (said.exit_code ? `${said.stderr ?? ''}${said.stdout ?? ''}`.trim() : null),
    (error: unknown) => {
      // 412: its program ends again and again, so that no command runs there.
      if (statusOf(error) !== 412) throw error
      return errorMessage(error)
    },
  )
  if (why === null) return fly.report(`machine ${ref.id}: records copied to ${recordsCopy}`)
  throw new Problem(
    'builder-failed',
    `The records could not be copied before the upgrade, so nothing was changed: ${why}\nIf the gateway does not run, repair it first: tarmac up --app ${ref.app}. With --image REF that changes the image too, without a copy.`,
  )
}
