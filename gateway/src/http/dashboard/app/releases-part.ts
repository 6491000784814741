import type { ImageFacts } from '#api/deployment.ts'
import type { Release, ReleasePage } from '#api/release.ts'
import { rollbackAddress } from '../actions/rollback-page.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { mark, releaseMark } from '../parts/mark.ts'
import { sizeText } from '../parts/size.ts'
import { facts, table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** The newest release of the target: what its machines should run. */
export function newestPart(
  { releases: [newest] }: ReleasePage,
  owner: string | null,
  url: string | null,
): Html {
  if (!newest)
    return html`<p class="quiet">
      ${owner === null ? 'The app itself' : owner} has no release yet. The first deployment that
      goes live makes one.
    </p>`
  const { number, state, createdAt, image, deployment, crashes } = newest
  const open = crashes.filter(({ endedAt }) => endedAt === null)
  return html`${facts([
    ['Release', html`${number} ${releaseMark(state)}`],
    ['Since', timeOf(createdAt)],
    ['Deployment', deploymentLink(deployment)],
    ['Address', url && html`<a href="${url}">${url}</a>`],
    ['Image', imageText(image)],
    ['Process groups', Object.keys(newest.config).join(', ')],
  ])}
  ${open.map(({ machine, why, lastAt }) => html`<p>${mark('warning', 'degraded')} Machine <code>${machine}</code> ${why}, at ${timeOf(lastAt)}.</p>`)}`
}

/** The whole reference is on the page of the deployment. */
const imageText = ({ reference, digest, sizeBytes }: ImageFacts): Html =>
  html`<code title="${reference}">${digest.slice(7, 19)}</code
    >${sizeBytes !== undefined && `, ${sizeText(sizeBytes)}`}`

/** The newest ones. The page of a rollback says what it changes, and asks. */
export const releasesPart = ({ releases }: ReleasePage): Html =>
  releases.length === 0
    ? html`<p class="quiet">None.</p>`
    : table(
        'Releases',
        ['Release', 'When', 'Deployment', 'Image', 'Changes', 'Again'],
        releases.map((release, at) => [
          html`${release.number} ${at === 0 ? releaseMark(release.state) : ''}`,
          timeOf(release.createdAt),
          deploymentLink(release.deployment),
          html`<code>${release.image.digest.slice(7, 19)}</code>`,
          diffLink(release, releases[at + 1]),
          at === 0
            ? ''
            : html`<a href="${rollbackAddress(release, release.number)}">Roll back…</a>`,
        ]),
      )

/** What a release changed, by the one before it. */
const diffLink = ({ app, owner, number }: Release, before: Release | undefined): Html | string =>
  before
    ? html`<a
        href="${addressOf('releaseDiff', { app, from: before.number, to: number }, { owner })}"
        >since release ${before.number}</a
      >`
    : ''
