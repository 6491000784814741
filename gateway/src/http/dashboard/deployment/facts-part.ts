import type { Deployment, ImageFacts, PlanFacts } from '#api/deployment.ts'
import { moneyText } from '#api/status/cost.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { sizeText } from '../parts/size.ts'
import { facts, linesOf } from '../parts/tables.ts'
import { durationText, timeOf } from '../parts/time.ts'

type Fact = readonly [string, Html | string | number | null]

/** Who asked for it, what it was made of, and what it cost. */
export const factsPart = (deployment: Deployment): Html =>
  facts([...requestFacts(deployment), ...sourceFacts(deployment), ...resultFacts(deployment)])

function requestFacts(deployment: Deployment): Fact[] {
  const { triggeredBy, createdAt, options, retryOf, rollback, from, cancel } = deployment
  const { commit, branch, author, message, trigger } = options
  const by = triggeredBy && `${triggeredBy.name}${trigger ? `, by ${trigger}` : ''}`
  return [
    ['Asked for by', by ?? trigger],
    ['Asked for at', timeOf(createdAt)],
    ['Commit', commit && html`<code>${commit.slice(0, 12)}</code>${branch && html` on ${branch}`}`],
    ['Branch', commit ? null : branch],
    ['Author', author],
    ['Message', message && linesOf(message)],
    ['Retry of', retryOf && deploymentLink(retryOf)],
    ['Rollback', rollback && `from release ${rollback.from ?? 'none'} to release ${rollback.to}`],
    [
      'Settings of',
      from && `release ${from.release} of ${from.app}${from.owner ? ` for ${from.owner}` : ''}`,
    ],
    ['Cancelled by', cancel && `${cancel.by ?? 'somebody'}${cancel.why ? `: ${cancel.why}` : ''}`],
    ['Superseded by', deployment.supersededBy && deploymentLink(deployment.supersededBy)],
    ['Variables', Object.keys(options.env).join(', ') || null],
  ]
}

function sourceFacts({ source, requestedImage, plan, bases }: Deployment): Fact[] {
  const names = Object.entries(bases)
  return [
    [
      'Source',
      source &&
        html`${source.files} files, ${sizeText(source.sizeBytes)}
          <code>${shortDigest(source.digest)}</code>`,
    ],
    ['Left out', source?.leftOut?.length ? linesOf(source.leftOut.join('\n')) : null],
    [
      'Image asked for',
      requestedImage &&
        Object.values(requestedImage)
          .filter((each) => typeof each === 'string')
          .join(', '),
    ],
    ['Plan', plan && planText(plan)],
    ['Starts with', plan?.startCommand ? html`<code>${plan.startCommand}</code>` : null],
    [
      'Base images',
      names.length > 0
        ? linesOf(names.map(([name, digest]) => `${name} ${shortDigest(digest)}`).join('\n'))
        : null,
    ],
  ]
}

const planText = ({ builder, reason, planner, provider, versions }: PlanFacts): string =>
  [
    `${builder} (${reason})`,
    planner === 'none' ? null : planner,
    provider,
    ...Object.entries(versions).map(([name, version]) => `${name} ${version}`),
  ]
    .filter(Boolean)
    .join(', ')

function resultFacts(deployment: Deployment): Fact[] {
  const { id, plan, image, buildUsage, cost, app, owner, release, logDroppedAt } = deployment
  return [
    ['Build', plan && html`<a href="${addressOf('build', { id })}">Steps, layers and warnings</a>`],
    ['Image', image && imageText(image)],
    ['Push', image?.push ? `by the ${image.push.via} in ${durationText(image.push.ms)}` : null],
    [
      'Build used',
      buildUsage &&
        `${durationText(buildUsage.cpuMs)} of CPU time, ${sizeText(buildUsage.peakMemoryBytes)} of memory at most`,
    ],
    [
      'Release',
      release && html`<a href="${addressOf('app', { app }, { owner })}#releases">${release}</a>`,
    ],
    [
      'Cost',
      cost &&
        `${cost.machineSeconds} machine-seconds${cost.amount !== null && cost.currency ? `, ${moneyText(cost.amount, cost.currency)}` : ''}`,
    ],
    ['Log', logDroppedAt && html`deleted at ${timeOf(logDroppedAt)}`],
  ]
}

const imageText = ({ reference, sizeBytes }: ImageFacts): Html =>
  html`<code>${reference}</code>${sizeBytes !== undefined && `, ${sizeText(sizeBytes)}`}`

export const shortDigest = (digest: string): string => digest.replace(/^sha256:/, '').slice(0, 12)
