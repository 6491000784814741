import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { errorMessage } from '#api/error-code.ts'
import { bundleTar } from '#api/doctor/bundle-tar.ts'
import { renderFindings, summary } from '#api/doctor/render.ts'
import { DoctorAnswer, doctorExitCode, DoctorRequest, type Finding } from '#api/doctor/report.ts'
import { saveBundle } from '#api/doctor/save-bundle.ts'
import { routes } from '#api/routes.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import type { Config } from '../config.ts'
import { gatewayVersion } from '../host/gateway-version.ts'
import { askOwnGateway } from './ask-own-gateway.ts'
import { openDoctor } from './open-doctor.ts'

const flags = {
  json: { type: 'boolean', default: false },
  push: { type: 'boolean', default: false },
  app: { type: 'string' },
  bundle: { type: 'string' },
} as const

export type DoctorArguments = ReturnType<typeof readArguments>

/** Throws for an option that it does not know. */
export const readArguments = (args: string[]) => parseArgs({ args, options: flags }).values

/**
 * `tarmac-gateway doctor`: asks the gateway that runs on this machine, because only that one knows
 * its parts. When none answers, it tries what it can without one. Returns the text and exit code.
 */
export async function runDoctor(
  config: Config,
  { json, push, app, bundle }: DoctorArguments,
): Promise<{ text: string; code: 0 | 1 }> {
  const request = DoctorRequest.parse({ app: app ?? null, push, bundle: bundle !== undefined })
  const { report, files } = await askOwnGateway(config, routes.doctor, request)
    .then((answer) => DoctorAnswer.parse(answer))
    .catch((error: unknown) => withoutGateway(config, request, errorMessage(error)))

  const packed = gzipSync(bundleTar(files ?? {}, 'tarmac-support', new Date()))
  const flaw = bundle !== undefined && files ? saveBundle(bundle, packed) : null
  const { findings } = report
  const saved = bundle === undefined ? '' : `\n${flaw ?? `The support file is ${bundle}`}.`
  const text = json
    ? visibleJson(report)
    : `${renderFindings(findings)}\n${summary(findings)}${saved}`
  return { text, code: flaw === null ? doctorExitCode(findings) : 1 }
}

async function withoutGateway(
  config: Config,
  request: DoctorRequest,
  why: string,
): Promise<DoctorAnswer> {
  await using fly = new MachinesApi({ baseUrl: config.fly.api, token: config.secrets.fly })
  const status = { version: gatewayVersion(), startedAt: new Date(), readers: {} }
  const examine = openDoctor({ config, fly, buildkit: null, status, records: null })
  const { report, files } = await examine(request)
  const missing: Finding = {
    group: 'gateway',
    name: 'runs',
    answer: 'failed',
    detail: `no gateway answers on this machine: ${why}`,
    next: 'Read what it printed last: fly logs, or the terminal where it was started.',
    ms: 0,
  }
  return { report: { ...report, findings: [missing, ...report.findings] }, files }
}
