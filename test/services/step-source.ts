import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NewEvent } from '../../api/event.ts'
import { Problem } from '../../api/problem.ts'
import { readDockerfile } from '../../gateway/src/buildkit/dockerfile.ts'
import type { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { treeOf } from '../gateway/buildkit/tree-of.ts'

/**
 * The only program in the test's images beside busybox. Its arguments are pairs of an action and an
 * amount.
 */
const program = `#!/busybox sh
while [ $# -gt 0 ]; do
  case $1 in
    say) echo "$2" ;;
    sleep) /busybox sleep $2 ;;
    flood) /busybox awk -v mb=$2 'BEGIN { for (i = 0; i < mb * 10000; i++) printf "%010d %s\\n", i, "${'x'.repeat(88)}" }' ;;
    eat) /busybox head -c $2m /dev/zero | /busybox tail -c $2m > /dev/null || exit 137 ;;
    fill) /busybox dd if=/dev/zero of=/filled bs=1M count=$2 status=none || exit 1 ;;
    files) /busybox mkdir -p /many && cd /many && /busybox seq 1 $2 | /busybox xargs /busybox touch || exit 1 ;;
    exit) exit $2 ;;
  esac
  shift 2
done
`

/** The default limits of build steps. */
export const limits = {
  memory: { share: 0.75 },
  memoryOfAll: { share: 0.85 },
  processes: 4096,
  cpus: 0,
}

/** The defaults of the settings. */
export const cacheLimits = {
  size: { share: 0.8 },
  perApp: { share: 0.5 },
  days: 30,
  minFree: { share: 0.15 },
}

export const step = (...args: string[]) => `RUN ${JSON.stringify(['/step', ...args])}`

/** Builds one-program images with a real daemon and pushes them to a registry. */
export async function stepBuilds(dir: string, buildkit: Buildkit, registry: string) {
  const root = join(dir, 'source')
  await mkdir(root)
  await writeFile(join(root, 'step'), program, { mode: 0o755 })
  execFileSync('cp', ['/usr/bin/busybox', root])
  return {
    /** Solves the steps of a Dockerfile. The log is available while it runs. */
    async solve(
      steps: string[],
      signal = AbortSignal.timeout(60_000),
      events: { push(event: NewEvent): unknown } = [] as NewEvent[],
    ) {
      const folder = join(dir, randomUUID())
      execFileSync('cp', ['-a', root, folder])
      await writeFile(
        join(folder, 'Dockerfile'),
        ['FROM scratch', 'COPY step busybox /', ...steps].join('\n'),
      )
      const tree = treeOf(folder)
      const dockerfile = await readDockerfile(tree, 'Dockerfile')
      using context = buildkit.serveContext('app', tree, dockerfile)
      const options = {
        ref: randomUUID(),
        app: 'app',
        cache: null,
        names: [`${registry}/app:one`],
        labels: {},
        secrets: new Map<string, string>(),
        rebuild: false,
        emit: (event: NewEvent) => void events.push(event),
        pushing() {},
      }
      return await buildkit.solve(
        {
          dockerfile,
          target: null,
          platform: 'linux/amd64',
          cacheKey: 'app',
          buildArgs: {},
          context,
        },
        options,
        signal,
      )
    },
  }
}

export const logText = (events: NewEvent[]) =>
  events.flatMap((event) => (event.type === 'log' ? event.text.split('\n') : [])).join('\n')
export const notes = (events: NewEvent[]) =>
  events.flatMap((event) => (event.type === 'note' ? [event.text] : []))

export async function problemOf(solved: Promise<unknown>): Promise<Problem> {
  const error = await solved.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(error instanceof Problem)) throw new Error('it was no Problem', { cause: error })
  return error
}
