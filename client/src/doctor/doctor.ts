import { gzipSync } from 'node:zlib'
import { bundleTar } from '#api/doctor/bundle-tar.ts'
import { renderFindings, summary } from '#api/doctor/render.ts'
import { type BundleFiles, doctorExitCode, type Finding } from '#api/doctor/report.ts'
import { saveBundle } from '#api/doctor/save-bundle.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import type { Builder } from '../builder/find-builder.ts'
import type { Printer } from '../print.ts'
import { examineHere } from './examine-here.ts'
import { examineThere } from './examine-there.ts'
import { previewTest } from './preview-test.ts'
import { liveTest, renderLive } from './live-test.ts'

export type DoctorOptions = {
  json: boolean
  wake: boolean
  push: boolean
  live: boolean
  /** Whether the live test makes a preview, instead of a deployment. */
  preview: boolean
  /** How many machines the live test makes at once. 0: one, without the load test. */
  machines: number
  bundle: string | null
}

/** `tarmac doctor`. Returns the exit code: 1 when something failed. */
export async function doctor(
  builder: Builder,
  { json, wake, push, live, preview, machines, bundle }: DoctorOptions,
  { printer, signal }: { printer: Pick<Printer, 'note'>; signal: AbortSignal },
): Promise<number> {
  const here = await examineHere(builder, wake, signal)
  const request = { app: null, push, bundle: bundle !== null }
  const tried = live
    ? await tryLive(builder, here.direct, { preview, machines }, { printer, signal })
    : null
  const there = await examineThere(builder, here, request, signal)

  const findings = [...here.findings, ...there.findings, ...(tried?.findings ?? [])]
  const files = { ...there.files, ...clientFiles(findings) }
  const flaw = bundle === null ? null : saveBundle(bundle, packed(files))
  const exitCode = flaw === null ? doctorExitCode(findings) : 1
  const result = { v: 1, type: 'result', exitCode, findings, live: tried?.times ?? null }

  if (json)
    process.stdout.write(`${visibleJson({ ...result, bundle: flaw === null ? bundle : null })}\n`)
  else {
    const times = tried?.times && here.direct ? renderLive(tried.times) : ''
    process.stdout.write(`${renderFindings(findings)}${times}\n${summary(findings)}\n`)
  }
  if (flaw !== null) printer.note(flaw)
  else if (bundle !== null && !json) {
    if (!there.isReached)
      printer.note(
        'the support file lacks the part of the gateway; in its machine run: tarmac-gateway doctor --bundle FILE',
      )
    printer.note(`the support file is ${bundle}; look through it before you send it`)
  }
  return exitCode
}

async function tryLive(
  builder: Builder,
  direct: boolean,
  { preview, machines }: Pick<DoctorOptions, 'preview' | 'machines'>,
  { printer, signal }: { printer: Pick<Printer, 'note'>; signal: AbortSignal },
) {
  if (direct && preview) {
    return { findings: await previewTest(builder, printer, signal), times: null }
  }
  if (direct) return liveTest(builder, machines, printer, signal)
  const detail = 'not done: the gateway cannot be reached from here'
  const next = 'Run it where the gateway answers, as the lines above say.'
  const finding = {
    group: 'live test',
    name: 'deploy',
    answer: 'unknown',
    detail,
    next,
    ms: 0,
  } as const
  return { findings: [finding], times: { phases: {}, load: null } }
}

/** What this computer found holds no secrets: findings never quote a token. */
const clientFiles = (findings: Finding[]): BundleFiles => ({
  'client.json': `${JSON.stringify(findings, null, 2)}\n`,
  'client.txt': renderFindings(findings),
})

const packed = (files: BundleFiles): Buffer =>
  gzipSync(bundleTar(files, 'tarmac-support', new Date()))
