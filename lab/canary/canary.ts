/**
 * Tries from inside a build to reach what builds must not reach, with and without the gateway's
 * isolation.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir } from '../ready.ts'
import { withLock } from '../make/lock.ts'
import { startLab, type Lab } from '../start-lab.ts'
import { traceSocketOf } from '../parts/buildkitd.ts'
import { listenAt, listenWithoutPath } from './kernel-targets.ts'
import { startNameServer } from './name-server.ts'
import { beyond, onThisMachine, openPlaces } from './places.ts'
import { listTargets, type Row, type Target } from './targets.ts'

const run = promisify(execFile)

/** Whether this row has the expected result. */
export const isRight = ({ open, controlReached, reached }: Row): boolean =>
  controlReached && reached === open

const names: Record<string, string> = {
  '_api.internal': onThisMachine.sixPn,
  'metadata.canary.test': beyond.metadata,
  'private.canary.test': beyond.tenth,
  'machine.canary.test': onThisMachine.tenth,
  'six.canary.test': onThisMachine.uniqueLocal,
}

/**
 * Runs the whole proof in its own lab, which it removes afterwards. `port` and the ports above it
 * must be free.
 */
export function tryIsolation(options: {
  dir: string
  port: number
  say?: (line: string) => void
}): Promise<Row[]> {
  // all runs use the same addresses of this machine
  return withLock(join(cacheDir, 'canary.lock'), () => tryIsolationAlone(options))
}

async function tryIsolationAlone({
  dir,
  port,
  say = () => {},
}: {
  dir: string
  port: number
  say?: (line: string) => void
}) {
  await using lab = await startLab({
    dir,
    port,
    say,
    dns: [onThisMachine.resolver],
    settings: { TARMAC_HOST: '0.0.0.0', TARMAC_BUILD_ALLOW: beyond.allowed },
  })
  const listenPort = port + 90
  await using places = await openPlaces(lab.bridge, listenPort)
  using _names = await startNameServer(onThisMachine.resolver, names)
  await using _nameless = await listenWithoutPath()
  const targets = await listTargets(lab, places.neighbour, listenPort)

  say('without isolation')
  const table = `tarmac_${lab.bridge.name.replaceAll(/\W/g, '_')}`
  for (const family of ['inet', 'bridge'])
    await run('nft', ['delete', 'table', family, table]).catch(() => {})
  // the state when nobody removes the daemon's socket
  const traces = await listenAt(traceSocketOf(lab.dir))
  const without = await triedFromStep(lab, targets, 'without').finally(() =>
    traces[Symbol.asyncDispose](),
  )
  say('with the isolation that a starting gateway sets up')
  await lab.start('gateway')
  const within = await triedFromStep(lab, targets, 'with')

  return Promise.all(
    targets.map(async (target, at): Promise<Row> => {
      const controlReached = without.has(at) || (await target.fromHost?.()) === true
      return { ...target, reached: within.has(at), controlReached }
    }),
  )
}

/**
 * Deploys an app whose build tries the targets. Returns the list positions of those that it
 * reached.
 */
async function triedFromStep(lab: Lab, targets: Target[], name: string): Promise<Set<number>> {
  const source = join(lab.dir, `canary-${name}`)
  await mkdir(source, { recursive: true })
  const lines = targets.map(({ line }) => `${line}\n`)
  await writeFile(join(source, 'targets'), lines.join(''))
  await cp(join(import.meta.dirname, 'try.py'), join(source, 'try.py'))
  await writeFile(
    join(source, 'Dockerfile'),
    'FROM python:3\nCOPY try.py targets /\nRUN ["python3", "/try.py"]\n',
  )
  const archive = `${source}.tar`
  await run('tar', ['cf', archive, '-C', source, '.'])
  const url = `${lab.gateway}/deploy/canary?deploy=false&rebuild=true`
  const { stdout } = await run('curl', [
    '-sS',
    '-T',
    archive,
    '-H',
    `Authorization: Bearer ${lab.token}`,
    url,
  ])
  if (!stdout.includes(`tried ${targets.length}`))
    throw new Error(`the build ${name} isolation did not try all targets:\n${stdout}`)
  return new Set([...stdout.matchAll(/reached (\d+)$/gm)].map(([, at]) => Number(at)))
}
