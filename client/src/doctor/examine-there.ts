import { errorMessage } from '#api/error-code.ts'
import {
  type BundleFiles,
  DoctorAnswer,
  DoctorReport,
  type DoctorRequest,
  type Finding,
} from '#api/doctor/report.ts'
import { routes } from '#api/routes.ts'
import { askGateway } from '../builder/ask-gateway.ts'
import type { Builder } from '../builder/find-builder.ts'
import { runInMachine } from '../builder/fly-machines.ts'
import type { Here } from './examine-here.ts'

const withinMs = 180_000
/** Fly may stop a command earlier; it does not document its limit. */
const execSeconds = 120

type There = { findings: Finding[]; files: BundleFiles; isReached: boolean }

/**
 * What the gateway finds on its machine: by a request where it can be reached from here, else by a
 * command inside the machine.
 */
export async function examineThere(
  { app, gateway, token, fly }: Builder,
  { direct, machine }: Here,
  request: DoctorRequest,
  signal: AbortSignal,
): Promise<There> {
  try {
    if (direct && gateway) {
      const call = { path: routes.doctor, body: request, withinMs }
      const answer = DoctorAnswer.parse(await askGateway({ gateway, token }, call, signal))
      return { findings: answer.report.findings, files: answer.files ?? {}, isReached: true }
    }
    if (fly && app && machine?.state === 'started') {
      const more = request.push ? ['--push'] : []
      const run = { command: ['tarmac-gateway', 'doctor', '--json', ...more], seconds: execSeconds }
      const stdout = await runInMachine(fly, { app, id: machine.id }, run, signal)
      const { findings } = DoctorReport.parse(JSON.parse(stdout))
      return { findings, files: {}, isReached: false }
    }
    return missing('unknown', 'the gateway could not be asked from here', 'See the lines above.')
  } catch (error) {
    signal.throwIfAborted()
    const detail = `the gateway could not examine its machine: ${errorMessage(error)}`
    return missing(
      'failed',
      detail,
      'Is the gateway of this version? Look at: tarmac builder status',
    )
  }
}

function missing(answer: 'unknown' | 'failed', detail: string, next: string): There {
  const finding = { group: 'gateway', name: 'doctor', answer, detail, next, ms: 0 }
  return { findings: [finding], files: {}, isReached: false }
}
