import type { MirrorStatus } from '#api/status/mirror.ts'
import { percentOf } from '../parts/percent.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import { facts } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

const moods: Record<MirrorStatus['state'], Mood> = { up: 'good', down: 'warning', off: 'over' }

/** How images reach the registry, and how many went which way since the start. */
export const mirrorPart = ({
  state,
  detail,
  url,
  lastProbe,
  pushes,
  breaker,
}: MirrorStatus): Html =>
  html`<p>${mark(moods[state], state)} ${detail}</p>
    ${facts([
      ['Address', url],
      ['Hit rate', state === 'off' ? null : hitRate(pushes)],
      ['Pushed by it', pushes.mirror],
      ['Failed there', `${pushes.fallback}, and went to the registry`],
      ['To the registry', pushes.registry],
      ['Failures in a row', state === 'off' ? null : `${breaker.failures} of ${breaker.limit}`],
      [
        'Last test',
        lastProbe &&
          html`${mark(lastProbe.ok ? 'good' : 'bad', lastProbe.ok ? 'ok' : 'failed')}
          ${timeOf(lastProbe.at)}: ${lastProbe.detail}`,
      ],
    ])}`

/** Of the images that were pushed since the start, those that the mirror took. */
function hitRate({ mirror, fallback, registry }: MirrorStatus['pushes']): string {
  const all = mirror + fallback + registry
  return all === 0 ? 'no image was pushed yet' : `${percentOf(mirror, all)} of ${all} pushes`
}
