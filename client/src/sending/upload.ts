import type { Readable } from 'node:stream'
import { type DeploymentOptions, writeOptions } from '#api/options.ts'
import { fill, routes } from '#api/routes.ts'
import { type DeploymentRecord, readRecord } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import type { Sending } from './send-body.ts'
import { uploadForm, type UploadForm } from './upload-form.ts'

export type NewDeployment = {
  app: string
  options: Partial<DeploymentOptions>
  secrets: ReadonlyMap<string, string>
  key: string
}
/** A request that takes an archive. `key` identifies it: see `findByKey`. */
type Upload = { path: string; form: UploadForm; key: string }

/** Sends an archive. Resolves with the answer when the gateway has accepted it. */
export async function upload(
  gateway: Gateway,
  { path, form: { query, type, wrap }, key }: Upload,
  { body, onSent }: Pick<Sending, 'body' | 'onSent'>,
  signal: AbortSignal,
): Promise<string> {
  const headers = { 'Content-Type': type, 'Idempotency-Key': key, Expect: '100-continue' }
  const asked = { path, query, headers, accepted: [202] }
  const sending = { body, wrap, ...(onSent && { onSent }) }
  return (await gateway.exchange(asked, sending, signal)).text
}

/** Deploys an archive. */
export async function uploadDeployment(
  gateway: Gateway,
  { app, options, secrets, key }: NewDeployment,
  body: Readable,
  signal: AbortSignal,
): Promise<DeploymentRecord> {
  const path = fill(routes.deployments, { app })
  const form = uploadForm(writeOptions(options), secrets)
  const answer = await upload(gateway, { path, form, key }, { body }, signal)
  return readRecord(new URL(gateway.address), answer)
}
