import { asProblem } from '#api/problem.ts'
import type { Config } from '../config.ts'
import type { Logger } from '../log.ts'
import type { Found } from './find-tools.ts'
import { Versions } from './versions.ts'

type Answer = Promise<{ version: string }>

/** Finds the versions of this machine's programs and packages. Throws `version-too-old`. */
export function findVersions(config: Config, miseFolder: string): Promise<Versions> {
  const daemonCommand = config.buildkit.address === 'spawn' ? config.daemon.command : null
  return Versions.find({ daemonCommand, miseFolder, allowOld: config.allowOld })
}

/**
 * Adds what the planner and the build daemon say, and logs all versions in one line. Throws
 * `version-too-old`. A daemon that does not answer now is asked again before the first build.
 */
export async function addAnswers(
  versions: Versions,
  { planner, daemon }: { planner: Answer; daemon: Answer },
  log: Logger,
): Promise<void> {
  const [railpack, buildkitd] = await Promise.all([answerOf(planner), answerOf(daemon)])
  versions.add('railpack', railpack)
  if (buildkitd.version !== null) versions.add('buildkitd', buildkitd)
  else versions.addUnlessKnown('buildkitd', buildkitd)

  const { tooOld, unknown, ...found } = versions.summary()
  if (railpack.version === null) log.error({ planner: railpack.note }, 'no planner')
  log.info({ ...found, unknown }, 'versions')
  if (tooOld.length > 0) log.warn({ tooOld }, 'older than the minimum, as TARMAC_ALLOW_OLD accepts')
}

const answerOf = (answer: Answer): Promise<Found> =>
  answer.then(
    ({ version }) => ({ version, note: null }),
    (error: unknown) => ({ version: null, note: asProblem(error).message }),
  )
