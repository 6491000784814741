import { durationText, flyText } from '#api/status/render.ts'
import { sizeText } from '#api/status/machine.ts'
import type { GatewayStatus } from '#api/status/status.ts'
import { inMb } from '#api/text/in-mb.ts'
import { addresses } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { Page } from '../parts/page.ts'
import { facts, section } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { doctorForm } from './builder-actions.ts'
import { cachePart } from './cache-part.ts'
import { diskPart } from './disk-part.ts'
import { known } from './known.ts'
import { mirrorPart } from './mirror-part.ts'
import { versionsTable } from './versions-table.ts'

const seconds = 15

/** The machine that builds, and the gateway on it. */
export const builderPage: Page = {
  path: addresses.builder,
  section: 'builder',
  assets: ['boards.css'],
  async show(context) {
    const status = await context.commands.status(context.caller)
    // Of a limited caller, the gateway shows the queue and the cache alone.
    const isWhole = status.versions !== undefined
    return {
      title: 'Builder',
      live: { seconds },
      body: html`<h1>Builder</h1>
        ${section('gateway', 'Gateway', gatewayPart(status))}
        ${!isWhole && html`<p class="quiet">Disk, limits, mirror and versions are for callers that are not limited to some apps or teams.</p>`}
        ${status.disk && section('disk', 'Disk', known(status.disk, diskPart))}
        ${
          status.cache &&
          section(
            'cache',
            'Build cache by app',
            known(status.cache, (cache) => cachePart(context, cache)),
          )
        }
        ${
          status.fly &&
          section(
            'fly',
            'Calls of Fly',
            known(
              status.fly,
              (fly) => html`<p>${flyText(fly)}, since ${timeOf(status.startedAt)}.</p>`,
            ),
          )
        }
        ${status.mirror && section('mirror', 'Registry mirror', known(status.mirror, mirrorPart))}
        ${status.sizes && section('limits', 'Limits', known(status.sizes, limitsPart))}
        ${status.versions && section('versions', 'Versions', known(status.versions, versionsTable))}
        ${section('doctor', 'Doctor', doctorForm(context))}`,
    }
  },
}

const gatewayPart = (status: GatewayStatus): Html => {
  const { version, startedAt, uptimeSeconds, machine, awake, queue, audit } = status
  return facts([
    ['Version', version],
    [
      'Runs for',
      html`${durationText(uptimeSeconds)} <span class="quiet">(since ${timeOf(startedAt)})</span>`,
    ],
    [
      'Machine',
      machine
        ? known(
            machine,
            ({ app, id, region, size }) =>
              html`${app} ${id}, ${region}${size && `, ${sizeText(size)}`}`,
          )
        : null,
    ],
    [
      'Work',
      queue
        ? known(queue, ({ running, waiting }) => html`${running} running, ${waiting} waiting`)
        : null,
    ],
    [
      'Stops',
      awake
        ? known(
            awake,
            ({ idleStopSeconds }) =>
              html`${idleStopSeconds === null ? 'not by itself' : `after ${durationText(idleStopSeconds)} without work`}`,
          )
        : null,
    ],
    [
      'Audit trail',
      audit
        ? known(audit, ({ verdict }) =>
            verdict
              ? mark(verdict.state === 'whole' ? 'good' : 'bad', verdict.state)
              : html`not checked yet`,
          )
        : null,
    ],
  ])
}

const limitsPart = ({ limits }: { limits: Limit[] }): Html =>
  facts(
    limits.map(({ name, value, unit, setting, from, rule }) => [
      name,
      html`${unit === 'bytes' ? inMb(value) : `${value} ${unit}`}
        <span class="quiet"
          >${from === 'setting' ? `set by ${setting}` : (rule ?? `the default; ${setting} changes it`)}</span
        >`,
    ]),
  )
type Limit = Extract<NonNullable<GatewayStatus['sizes']>, { limits: unknown }>['limits'][number]
