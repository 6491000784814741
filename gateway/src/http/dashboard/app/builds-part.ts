import type { Deployment } from '#api/deployment.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { moodOf, stateMark } from '../parts/mark.ts'
import { sizeText } from '../parts/size.ts'
import { durationText } from '../parts/time.ts'
import { columnPicture, type Kind, numbers } from '../pictures/column-picture.ts'
import { medianOf, sumOf } from '../pictures/columns.ts'

/** What the last builds had from the cache, and what their steps used, oldest first. `all`: newest first. */
export function buildsPart(all: Deployment[]): Html {
  const builds = all.filter(isMeasured).toReversed()
  if (builds.length === 0)
    return html`<p class="quiet">No build of the app has been measured yet.</p>`
  return html`<div class="pictures">
      ${stepsPicture(builds)} ${cpuPicture(builds)} ${memoryPicture(builds)}
    </div>
    ${numbers(
      'builds',
      'What builds used',
      ['Build', 'State', 'Steps', 'From the cache', 'CPU time', 'Memory at most', 'Compare'],
      builds.map((each, at) => rowOf(each, builds[at - 1])).toReversed(),
    )}`
}

/** An image that existed already has no build. */
const isMeasured = ({ endedAt, buildSteps, buildUsage }: Deployment): boolean =>
  endedAt !== null && (buildSteps !== null || buildUsage !== null)

function stepsPicture(builds: Deployment[]): Html {
  const cached = builds.map(({ buildSteps }) => buildSteps?.cached ?? 0)
  const run = builds.map(({ buildSteps }) => buildSteps?.run ?? 0)
  const percent = Math.round((100 * sumOf(cached)) / Math.max(1, sumOf(cached) + sumOf(run)))
  return pictureOf(builds, {
    summary: `Steps: ${percent} % came from the cache.`,
    kinds: [
      { name: 'from the cache', look: 'cached' },
      { name: 'run', look: 'phase-building' },
    ],
    values: builds.map((_, at) => [cached[at]!, run[at]!]),
    text: (value) => String(Math.round(value * 10) / 10),
  })
}

function cpuPicture(builds: Deployment[]): Html {
  const values = builds.map(({ buildUsage }) => buildUsage?.cpuMs ?? 0)
  return pictureOf(builds, {
    summary:
      sumOf(values) === 0
        ? 'CPU time of steps: none was measured. Steps from the cache use none.'
        : `CPU time of steps: half of the builds used ${durationText(medianOf(values))} or less, none more than ${durationText(Math.max(...values))}.`,
    kinds: [{ name: 'CPU time', look: 'phase-deploying' }],
    values: values.map((value) => [value]),
    text: durationText,
  })
}

function memoryPicture(builds: Deployment[]): Html {
  const values = builds.map(({ buildUsage }) => buildUsage?.peakMemoryBytes ?? 0)
  return pictureOf(builds, {
    summary:
      sumOf(values) === 0
        ? 'Memory of steps: none was measured.'
        : `Memory: one step had ${sizeText(Math.max(...values))} at most.`,
    kinds: [{ name: 'the most memory of one step', look: 'phase-analyzing' }],
    values: values.map((value) => [value]),
    text: sizeText,
  })
}

type Series = {
  summary: string
  kinds: Kind[]
  values: number[][]
  text: (value: number) => string
}

const pictureOf = (builds: Deployment[], { values, ...more }: Series): Html =>
  columnPicture({
    ...more,
    columns: builds.map(({ number, state }, at) => ({
      values: values[at]!,
      name: `#${number}`,
      hasFailed: moodOf(state) === 'bad',
    })),
  })

function rowOf(
  { id, number, state, buildSteps, buildUsage }: Deployment,
  before: Deployment | undefined,
): (Html | string | number)[] {
  return [
    html`<a href="${addressOf('build', { id })}">#${number}</a>`,
    stateMark(state),
    buildSteps ? buildSteps.cached + buildSteps.run : '',
    buildSteps?.cached ?? '',
    buildUsage ? durationText(buildUsage.cpuMs) : '',
    buildUsage ? sizeText(buildUsage.peakMemoryBytes) : '',
    before
      ? html`<a href="${addressOf('compare', {}, { a: before.id, b: id })}"
          >with #${before.number}</a
        >`
      : '',
  ]
}
