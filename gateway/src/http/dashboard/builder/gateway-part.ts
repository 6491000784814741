import type { ImagesStatus } from '#api/status/images.ts'
import { sizeText, type MachineStatus } from '#api/status/machine.ts'
import type { Unknown } from '#api/status/part.ts'
import { roughDuration } from '#api/status/render.ts'
import type { GatewayStatus } from '#api/status/status.ts'
import { someOf } from '#api/text/some-of.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import { facts } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { known } from './known.ts'

const imagesShown = 3

/** The gateway as a whole. What is wrong with its records or images is here too. */
export function gatewayPart(status: GatewayStatus): Html {
  const { version, startedAt, uptimeSeconds, machine, awake, queue, audit, images } = status
  return facts([
    ['Version', version],
    [
      'Runs for',
      html`${roughDuration(uptimeSeconds)} <span class="quiet">(since ${timeOf(startedAt)})</span>`,
    ],
    ['Machine', shown(machine, machineText)],
    ['Work', shown(queue, ({ running, waiting }) => html`${running} running, ${waiting} waiting`)],
    ['Stops', shown(awake, ({ idleStopSeconds }) => stopText(idleStopSeconds))],
    [
      'Audit trail',
      shown(audit, ({ verdict }) =>
        verdict
          ? mark(verdict.state === 'whole' ? 'good' : 'bad', verdict.state)
          : html`not checked yet`,
      ),
    ],
    ['Images', shown(images, imagesText)],
  ])
}

const shown = <Facts extends object>(
  part: Facts | Unknown | undefined,
  show: (facts: Facts) => Html,
): Html | null => (part === undefined ? null : known(part, show))

const machineText = ({ app, id, region, size }: MachineStatus): Html =>
  html`${app} ${id}, ${region}${size && `, ${sizeText(size)}`}`

const stopText = (seconds: number | null): Html =>
  html`${seconds === null ? 'not by itself' : `after ${roughDuration(seconds)} without work`}`

/** The daily look whether the registry still has what releases need. */
function imagesText({ checkedAt, checked, missing, problem }: ImagesStatus): Html {
  if (missing.length === 0)
    return html`${checkedAt === null ? 'not checked yet' : mark('good', `${checked} in the registry`)}
    ${problem}`
  const names = missing.map(({ app, reference }) => `${reference} of ${app}`)
  return html`${mark('bad', `${missing.length} missing`)} ${someOf(names, imagesShown)}`
}
