import { randomBytes, randomUUID } from 'node:crypto'
import { pause } from '#api/flow/retry.ts'
import { failed, type Found, ok, warning } from '#api/doctor/run-probes.ts'
import type { Finding } from '#api/doctor/report.ts'
import { writePreviewQuery } from '#api/previews/preview-query.ts'
import { NewPreview, Preview, PreviewPage } from '#api/previews/preview.ts'
import { PreviewLogs } from '#api/previews/preview-calls.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { readAnswer } from '../answers.ts'
import type { Builder } from '../builder/find-builder.ts'
import { upload } from '../sending/upload.ts'
import { uploadForm } from '../sending/upload-form.ts'
import { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'
import { askForPage, LiveSteps } from './live-steps.ts'
import { liveSource } from './live-source.ts'

/** It never exists on Fly: only its previews do. One name for all tests leaves one in the records. */
const app = 'tarmac-doctor-preview'
const [ttlSeconds, extendedSeconds] = [300, 600]
const lookMs = 500
const readyMs = 600_000
const logMs = 20_000
const goneMs = 120_000

/**
 * Makes a preview of a tiny source, waits until it is ready, asks it, reads its log, extends it,
 * destroys it, and checks that it is gone. It is destroyed in any case.
 */
export async function previewTest(
  { gateway: address, token }: Builder,
  printer: Pick<Printer, 'note'>,
  signal: AbortSignal,
): Promise<Finding[]> {
  if (!address) throw new Problem('option-invalid', 'The live test needs the gateway’s address.')
  const owner = `doctor-${randomBytes(4).toString('hex')}`
  const test = new PreviewTest(new Gateway(address, token), owner, signal)
  const steps = new LiveSteps('live test of a preview', signal)

  printer.note(`live test: making a preview of a tiny app for ${owner}; it is destroyed at the end`)
  try {
    if (!(await steps.run('create', () => test.create()))) return steps.findings
    printer.note(`live test: the preview is ${test.id}`)
    if (await steps.run('ready', () => test.untilReady())) {
      await steps.run('request', () => test.request())
      await steps.run('log', () => test.readLog())
      await steps.run('extend', () => test.extend())
    }
  } finally {
    await steps.run('destroy', () => test.destroy())
    await steps.run('gone', () => test.untilGone())
  }
  return steps.findings.map((finding) =>
    Object.assign(finding, { detail: `${finding.detail} (${(finding.ms / 1000).toFixed(2)} s)` }),
  )
}

/** The steps, each of which continues what the one before did. */
class PreviewTest {
  readonly #gateway: Gateway
  readonly #owner: string
  readonly #signal: AbortSignal
  #made: Preview | null = null

  constructor(gateway: Gateway, owner: string, signal: AbortSignal) {
    this.#gateway = gateway
    this.#owner = owner
    this.#signal = signal
  }

  get id(): string {
    return this.#made!.id
  }

  async create(): Promise<Found> {
    const query = writePreviewQuery(NewPreview.parse({ app, owner: this.#owner, ttlSeconds }))
    const form = uploadForm(query, new Map())
    const asked = { path: routes.previews, form, key: randomUUID() }
    const body = liveSource()
    this.#made = readPreview(await upload(this.#gateway, asked, { body }, this.#signal))
    return ok(`${this.id} is accepted: its source arrived`)
  }

  async untilReady(): Promise<Found> {
    const preview = await this.#until(hasStarted, readyMs, this.#signal)
    if (preview.state === 'ready') return ok('its machine runs, and its port answers')
    const why = preview.problem?.detail ?? `it is ${preview.state}`
    return failed(`it is not ready: ${why}`, `tarmac preview show ${this.id} --log`)
  }

  async request(): Promise<Found> {
    const { url } = await this.#read(this.#signal)
    if (url === null) return failed('it has no address', `tarmac preview show ${this.id}`)
    return askForPage(url, this.#signal)
  }

  /** Fly's log is some seconds late. */
  async readLog(): Promise<Found> {
    const path = `${fill(routes.previewLogs, { id: this.id })}?lines=100`
    const until = performance.now() + logMs
    for (;;) {
      const answer = await this.#gateway.ask('GET', path, this.#signal).catch(unreadable)
      if (answer instanceof Problem) return warning(answer.message, 'The rest works without it.')
      const { lines } = readAnswer(PreviewLogs, answer)
      if (lines.some(({ text }) => text.includes('tarmac-doctor')))
        return ok('its log has what its program printed')
      if (performance.now() > until)
        return warning(
          `its log lacks what its program printed, after ${logMs / 1000} s`,
          `tarmac preview logs shows what Fly has: its logs may be late`,
        )
      await pause(lookMs, this.#signal)
    }
  }

  async extend(): Promise<Found> {
    const path = fill(routes.extendPreview, { id: this.id })
    const body = { ttlSeconds: extendedSeconds }
    const answer = await this.#gateway.ask('POST', path, this.#signal, body)
    const { expiresAt } = readAnswer(Preview, answer)
    if (expiresAt > this.#made!.expiresAt) return ok(`it lives until ${expiresAt}`)
    return failed(`its end is still ${expiresAt}`, `tarmac preview show ${this.id}`)
  }

  /** Also after an interrupt, and where the answer to the create was lost: all that its owner has. */
  async destroy(): Promise<Found> {
    const signal = AbortSignal.timeout(goneMs)
    const query = new URLSearchParams({ app, owner: this.#owner, state: 'living' })
    const list = await this.#gateway.ask('GET', `${routes.previews}?${query.toString()}`, signal)
    const { previews } = readAnswer(PreviewPage, list)
    for (const { id } of previews)
      await this.#gateway.ask('DELETE', fill(routes.preview, { id }), signal)
    this.#made ??= previews[0] ?? null
    return ok(previews.length > 0 ? 'the gateway destroys it' : 'there is nothing to destroy')
  }

  async untilGone(): Promise<Found> {
    if (!this.#made) return ok('there was none')
    const preview = await this.#until(hasEnded, goneMs, AbortSignal.timeout(goneMs + lookMs))
    if (preview.endedAt !== null) return ok('nothing of it is left on Fly')
    const why = preview.problem?.detail ?? 'Fly has not deleted its app yet'
    return failed(`${this.id} is still there: ${why}`, `tarmac preview destroy ${this.id}`)
  }

  /** The preview once it is so, or as it is when the time is over. */
  async #until(
    is: (preview: Preview) => boolean,
    forMs: number,
    signal: AbortSignal,
  ): Promise<Preview> {
    const until = performance.now() + forMs
    for (;;) {
      const preview = await this.#read(signal)
      if (is(preview) || performance.now() > until) return preview
      await pause(lookMs, signal)
    }
  }

  async #read(signal: AbortSignal): Promise<Preview> {
    const path = fill(routes.preview, { id: this.id })
    return readAnswer(Preview, await this.#gateway.ask('GET', path, signal))
  }
}

const readPreview = (answer: string) => readAnswer(Preview, JSON.parse(answer))
const hasStarted = ({ state }: Preview) => state !== 'starting'
const hasEnded = ({ endedAt }: Preview) => endedAt !== null

/** A token of Fly for deploys may not read logs. */
function unreadable(error: unknown): Problem {
  if (error instanceof Problem && error.code === 'fly-denied') return error
  throw error
}
