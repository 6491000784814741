import type { AppCache, CacheStatus } from '#api/status/cache.ts'
import { addressOf } from '../parts/addresses.ts'
import { appLink } from '../lists/deployment-link.ts'
import { button, confirmation, postForm } from '../parts/form.ts'
import { firstCommand } from '../lists/first-command.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { sizeText } from '../parts/size.ts'
import { facts, table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

const appsShown = 100

/** The build cache by app. Every byte counts once. */
export function cachePart(context: PageContext, cache: CacheStatus): Html {
  const { totalBytes, maxBytes, appBytes, sharedBytes, otherBytes, measuredAt } = cache
  const largest = cache.apps.toSorted((a, b) => b.bytes - a.bytes)
  return html`${facts([
    [
      'In all',
      `${sizeText(totalBytes)}${maxBytes === null ? '' : ` of at most ${sizeText(maxBytes)}`}`,
    ],
    ['Of several apps', sizeText(sharedBytes)],
    ['Of none', sizeText(otherBytes)],
    ['One app at most', appBytes === null ? null : sizeText(appBytes)],
    ['Measured', timeOf(measuredAt)],
  ])}
  ${
    largest.length > 0
      ? cacheTable(context, largest.slice(0, appsShown))
      : firstCommand(
          'No app has anything in it yet. The first build fills it:',
          context.gateway,
          'tarmac deploy my-app',
        )
  }
  ${largest.length > appsShown && html`<p class="quiet">${largest.length - appsShown} smaller ones are not listed.</p>`}`
}

const cacheTable = (context: PageContext, apps: AppCache[]): Html =>
  table(
    'What each app alone has of the build cache',
    ['App', 'Size', 'Cache mounts', 'Sources', 'Used', 'Drop'],
    apps.map(({ app, bytes, mountBytes, sourceBytes, lastUsedAt }) => [
      appLink(app),
      sizeText(bytes),
      sizeText(mountBytes),
      sizeText(sourceBytes),
      timeOf(lastUsedAt),
      confirmation(
        `drop-${app}`,
        'Drop…',
        postForm(
          context,
          addressOf('removeCache', { app }),
          html`<p>
              What ${app} alone has in the cache is removed. Its next build runs every step again. A
              build that runs goes on.
            </p>
            ${button('Drop its cache')}`,
        ),
      ),
    ]),
  )
