import { z } from 'zod'
import { withDefaults, type OwnSettings } from '#api/options/app-settings.ts'
import { type Deployment, DeploymentState, releaseStateOf } from '#api/deployment.ts'
import { DeploymentOptions } from '#api/options.ts'
import { PreviewOf } from '#api/previews/preview.ts'
import { Problem } from '#api/problem.ts'
import { cutCancel, cutProblem } from '../deployments/cut-texts.ts'
import type { LaneMember } from '../deployments/lanes.ts'
import { packJson } from '../deployments/packed-json.ts'
import { keepWithin, sizeLimits } from '../deployments/size-limits.ts'
import { touchesMachines } from '../deployments/states.ts'
import type { DeploymentPatch, NewDeployment } from '../deployments/store.ts'
import { parsedObject } from './store-tools.ts'

/** The columns that the store reads. */
export const Row = z.object({
  id: z.string(),
  app: z.string(),
  owner: z.string(),
  number: z.number(),
  state: DeploymentState,
  created_at: z.string(),
  updated_at: z.string(),
  leased_until: z.string().nullable(),
  ended_at: z.string().nullable(),
  attempt: z.number(),
  epoch: z.number(),
  last_seq: z.number(),
  body: z.string(),
  rollout: z.string().nullable(),
  log_dropped_at: z.string().nullable(),
  /** The state it was in when the gateway died while running it. */
  suspect: DeploymentState.nullable(),
  /** How often the gateway died while this deployment ran alone. */
  deaths: z.number(),
})
export type Row = z.infer<typeof Row>

/** The fields without a column, as JSON. */
export type Body = Pick<
  Deployment,
  | 'options'
  | 'flyApp'
  | 'triggeredBy'
  | 'callerAddress'
  | 'source'
  | 'plan'
  | 'image'
  | 'requestedImage'
  | 'bases'
  | 'machines'
  | 'url'
  | 'problem'
  | 'cancel'
  | 'supersededBy'
  | 'from'
  | 'rollback'
  | 'retryOf'
  | 'preview'
  | 'release'
  | 'crashes'
  | 'cost'
  | 'warnings'
  | 'stateSince'
  | 'phases'
  | 'buildUsage'
  | 'buildSteps'
>
export type Patch = DeploymentPatch & Partial<Pick<Body, 'cancel' | 'supersededBy'>>

const emptyBody = (): Omit<Body, 'options'> => ({
  flyApp: '',
  triggeredBy: null,
  callerAddress: null,
  source: null,
  from: null,
  rollback: null,
  retryOf: null,
  preview: null,
  plan: null,
  image: null,
  requestedImage: null,
  bases: {},
  machines: [],
  url: null,
  release: null,
  crashes: [],
  cost: null,
  warnings: [],
  stateSince: null,
  phases: {},
  buildUsage: null,
  buildSteps: null,
  problem: null,
  cancel: null,
  supersededBy: null,
})

/**
 * The body of a new deployment, with the app's settings as defaults of its options. Throws
 * `record-too-large`.
 */
export function newBody(fresh: NewDeployment, appSettings: OwnSettings): Body {
  const { id, app, source, from = null, idempotencyKey, resolved } = fresh
  const { image = null, requestedImage = null } = fresh
  const { rollback = null, retryOf = null, triggeredBy = null, callerAddress = null } = fresh
  const preview = fresh.preview ? PreviewOf.parse(fresh.preview) : null
  for (const name of [id, app, fresh.options.owner, idempotencyKey])
    keepWithin('A name', name ?? '', sizeLimits.nameBytes)
  keepWithin('The options', JSON.stringify(fresh.options), sizeLimits.optionsBytes)

  const { lane = 'latest', ...settings } = appSettings
  const options = withDefaults(fresh.options, { lane, ...(!resolved && settings) })
  const asked = { options, triggeredBy, callerAddress, source, image, requestedImage }
  return { ...emptyBody(), ...asked, from, rollback, retryOf, preview }
}

/** Texts for people are cut. Throws `record-too-large` for other data that exceeds its limit. */
export function patchedBody(row: Row, patch: Partial<Body>): Body {
  const body: Body = { ...bodyOf(row), ...patch }
  if (body.problem) body.problem = cutProblem(body.problem)
  if (body.cancel) body.cancel = cutCancel(body.cancel)
  if (patch.bases)
    keepWithin(
      'The list of images that the build starts from',
      JSON.stringify(patch.bases),
      sizeLimits.basesBytes,
    )
  return body
}

/**
 * The record's JSON. A record by an older gateway may exceed the limit; it can still end, with a
 * problem.
 */
export function bodyText(body: Body, before = ''): string {
  const limitBytes = Math.max(
    sizeLimits.recordBytes,
    Buffer.byteLength(before) + sizeLimits.endBytes,
  )
  return keepWithin('The record of the deployment', JSON.stringify(body), limitBytes)
}

export const rolloutText = (rollout: unknown): string =>
  keepWithin('The progress of the deploy', packJson(rollout), sizeLimits.rolloutBytes)

/**
 * True once an effect on a machine was about to happen: the deploy engine records its intent first.
 */
export const touched = ({ state, rollout }: Row): boolean =>
  touchesMachines(state) && rollout !== null

export const memberOf = (row: Row): LaneMember => ({
  ...bodyOf(row),
  id: row.id,
  state: row.state,
  touched: touched(row),
})

export function toDeployment(row: Row): Deployment {
  const body = bodyOf(row)
  return {
    id: row.id,
    number: row.number,
    app: row.app,
    owner: row.owner || null,
    state: row.state,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    endedAt: row.ended_at,
    attempt: row.attempt,
    logDroppedAt: row.log_dropped_at,
    ...body,
    flyApp: body.flyApp || row.app,
    releaseState: body.release === null ? null : releaseStateOf(body.crashes),
  }
}

/** What a record says of its states, once it leaves the present one at `at`. The first begins with the record. */
export function phasesAfter(
  row: Row,
  { stateSince, phases }: Body,
  at: string,
): Pick<Body, 'stateSince' | 'phases'> {
  const since = stateSince ?? row.created_at
  const ms = Math.max(0, Date.parse(at) - Date.parse(since))
  return { stateSince: at, phases: { ...phases, [row.state]: (phases[row.state] ?? 0) + ms } }
}

/** Whether everything that a runner needs is readable. */
export const isReadable = ({ body, rollout }: Row): boolean =>
  readBody(body) !== null && (rollout === null || parsedObject(rollout) !== null)

export const damaged = ({ id }: Pick<Row, 'id'>): Problem =>
  new Problem(
    'database-unusable',
    `The record of deployment ${id} is damaged and cannot be read. The operator of the gateway can restore a backup (tarmac-gateway restore). Or send the source again.`,
  )

/** A damaged record reads as an empty one with a problem. */
export const bodyOf = (row: Pick<Row, 'id' | 'body'>): Body =>
  readBody(row.body) ?? {
    ...emptyBody(),
    options: DeploymentOptions.parse({}),
    problem: damaged(row).body(),
  }

const part = z.looseObject({})
/**
 * The kinds of the fields. What is inside each was written by a gateway, perhaps an older one, and
 * may be 2 MiB: it is not checked again at each read.
 */
const StoredBody = z.looseObject({
  options: part,
  flyApp: z.string(),
  triggeredBy: part.nullable(),
  callerAddress: z.string().nullable(),
  source: part.nullable(),
  from: part.nullable(),
  rollback: part.nullable(),
  retryOf: z.string().nullable(),
  preview: part.nullable(),
  plan: part.nullable(),
  image: part.nullable(),
  requestedImage: part.nullable(),
  bases: part,
  machines: z.array(part),
  url: z.string().nullable(),
  release: z.number().nullable(),
  crashes: z.array(part),
  cost: part.nullable(),
  stateSince: z.string().nullable(),
  phases: part,
  buildUsage: part.nullable(),
  buildSteps: part.nullable(),
  problem: part.nullable(),
  cancel: part.nullable(),
  supersededBy: z.string().nullable(),
})
const isBody = (value: object): value is Body => StoredBody.safeParse(value).success

/** Null: it cannot be read. Records of older gateways lack some fields. */
function readBody(text: string): Body | null {
  const found = parsedObject(text)
  const body = found && { ...emptyBody(), ...found }
  return body && isBody(body) ? body : null
}

export const toFound = (row: Row | null): Deployment | null => row && toDeployment(row)
