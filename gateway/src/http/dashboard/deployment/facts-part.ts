import type { Deployment, ImageFacts, PlanFacts } from '#api/deployment.ts'
import { moneyText } from '#api/status/cost.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { sizeText } from '../parts/size.ts'
import { facts, linesOf } from '../parts/tables.ts'
import { durationText, timeOf } from '../parts/time.ts'
import { callerFacts } from './caller-facts.ts'

type Fact = readonly [string, Html | string | number | null]

type Known = {
  /** What differs from before: see `sinceFacts`. */
  since: Fact[]
  /** Of the prices that the gateway knows. Null: it knows none. */
  currency: string | null
}

/** Who asked for it, what it was made of, what differs from before, and what it cost. */
export const factsPart = (deployment: Deployment, { since, currency }: Known): Html =>
  facts([
    ...requestFacts(deployment),
    ...sourceFacts(deployment),
    ...since,
    ...resultFacts(deployment),
    ['Cost', costText(deployment, currency)],
  ])

function requestFacts(deployment: Deployment): Fact[] {
  const { createdAt, options, retryOf, rollback, from, cancel } = deployment
  const { commit, branch, author, message } = options
  return [
    ...callerFacts(deployment),
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
  const { id, plan, image, buildUsage, app, owner, release, logDroppedAt } = deployment
  return [
    ['Build', plan && html`<a href="${addressOf('build', { id })}">Steps, layers and warnings</a>`],
    ['Image', image && imageText(image)],
    ['Push', image?.push ? `by the ${image.push.via} in ${durationText(image.push.ms)}` : null],
    ['Cache', cacheText(deployment)],
    [
      'Build used',
      buildUsage &&
        `${durationText(buildUsage.cpuMs)} of CPU time, ${sizeText(buildUsage.peakMemoryBytes)} of memory at most`,
    ],
    [
      'Release',
      release && html`<a href="${addressOf('app', { app }, { owner })}#releases">${release}</a>`,
    ],
    ['Log', logDroppedAt && html`deleted at ${timeOf(logDroppedAt)}`],
  ]
}

function cacheText({ buildSteps, plan, image }: Deployment): string | null {
  if (!buildSteps) return plan && image ? 'not needed: the image existed already' : null
  const { cached, run, savedMs } = buildSteps
  const steps = `${cached} of ${cached + run} steps (${Math.round((100 * cached) / (cached + run))} %)`
  return savedMs ? `${steps}, which took ${durationText(savedMs)} when they ran last` : steps
}

/** Says why it is not known, too. */
function costText({ cost, endedAt }: Deployment, currency: string | null): string | null {
  if (!cost) return endedAt === null ? null : 'none: it took no time of the builder'
  const seconds = `${cost.machineSeconds} machine-seconds`
  if (cost.amount !== null && cost.currency)
    return `${seconds}, ${moneyText(cost.amount, cost.currency)}`
  return currency === null
    ? `${seconds}; no amount, because the gateway has no prices (TARMAC_PRICES)`
    : `${seconds}; no amount, because the gateway had no price for its machine then`
}

const imageText = ({ reference, sizeBytes }: ImageFacts): Html =>
  html`<code>${reference}</code>${sizeBytes !== undefined && `, ${sizeText(sizeBytes)}`}`

export const shortDigest = (digest: string): string => digest.replace(/^sha256:/, '').slice(0, 12)
