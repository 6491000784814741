import type { PoolView } from '#api/previews/pool.ts'
import { appLink } from '../lists/deployment-link.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'

/** Previews that wait for a request like them, and what is wrong with them. */
export const poolsPart = (pools: PoolView[]): Html =>
  table(
    'Pools of previews that wait for a request',
    ['Pool', 'Ready', 'Being made', 'Taken today', 'State', 'Image'],
    pools.map(({ app, template, size, ready, warming, claimedToday, problem, image }) => [
      html`${appLink(app)} ${template}`,
      `${ready} of ${size}`,
      warming,
      claimedToday,
      problem
        ? html`${mark('bad', problem.title)} ${problem.detail}`
        : mark(ready >= size ? 'good' : 'busy', ready >= size ? 'full' : 'is filled'),
      image,
    ]),
  )
