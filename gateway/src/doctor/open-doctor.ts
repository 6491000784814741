import type { DoctorAnswer, DoctorRequest } from '#api/doctor/report.ts'
import { BuilderApi } from '#fly/builder-api.ts'
import { ownMachine } from '../host/own-machine.ts'
import type { BundleParts } from './bundle-files.ts'
import type { DoctorParts } from './doctor-parts.ts'

const withinMs = 150_000

type Parts = Omit<DoctorParts, 'tokens' | 'own'> & Pick<BundleParts, 'records'>

/** Answers requests one at a time: they measure speed. Loads what it needs at the first one. */
export function openDoctor(parts: Parts): (request: DoctorRequest) => Promise<DoctorAnswer> {
  let last: Promise<unknown> = Promise.resolve()
  return (request) => {
    const answer = last.then(() => examined(parts, request))
    last = answer.catch(() => null)
    return answer
  }
}

async function examined(parts: Parts, request: DoctorRequest): Promise<DoctorAnswer> {
  const { config } = parts
  const { examine } = await import('./examine.ts')
  await using tokens = new BuilderApi({ baseUrl: config.fly.api, token: config.secrets.fly })
  const own = await ownMachine(config.machine)
  const report = await examine({ ...parts, tokens, own }, request, AbortSignal.timeout(withinMs))
  if (!request.bundle) return { report, files: null }
  const { bundleFiles } = await import('./bundle-files.ts')
  return { report, files: await bundleFiles(parts, report) }
}
