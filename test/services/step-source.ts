import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NewEvent } from '../../api/event.ts'
import { Problem } from '../../api/problem.ts'
import { readDockerfile } from '../../gateway/src/buildkit/dockerfile.ts'
import type { Buildkit } from '../../gateway/src/buildkit/solve.ts'
import { treeOf } from '../gateway/buildkit/tree-of.ts'

/** The only program in the test's images; its arguments are pairs of what to do and how much. */
const program = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int n, char **a) {
  static char block[1 << 20];
  for (int i = 1; i + 1 < n; i += 2) {
    char *v = a[i + 1];
    if (!strcmp(a[i], "say")) puts(v);
    if (!strcmp(a[i], "sleep")) { fflush(stdout); sleep(atoi(v)); }
    if (!strcmp(a[i], "flood")) /* MB, at 50 MB/s */
      for (int mb = 0; mb < atoi(v); mb++) { for (int k = 0; k < 10000; k++) printf("%04d %05d %s\\n", mb, k, ${JSON.stringify('x'.repeat(88))}); fflush(stdout); usleep(15000); }
    if (!strcmp(a[i], "eat")) for (int mb = 0; mb < atoi(v); mb++) memset(malloc(1 << 20), 1, 1 << 20);
    if (!strcmp(a[i], "fill")) { /* MB */
      FILE *f = fopen("/filled", "w");
      for (int mb = 0; mb < atoi(v); mb++) if (fwrite(block, 1, sizeof block, f) < sizeof block || fflush(f)) { perror("write"); return 1; }
      fclose(f);
    }
    fflush(stdout);
    if (!strcmp(a[i], "exit")) return atoi(v);
  }
  return 0;
}`

export const step = (...args: string[]) => `RUN ${JSON.stringify(['/step', ...args])}`

/** Builds of one-program images by a real daemon, pushed to a registry. */
export async function stepBuilds(dir: string, buildkit: Buildkit, registry: string) {
  await writeFile(join(dir, 'step.c'), program)
  execFileSync('gcc', ['-static', '-O1', '-w', '-o', join(dir, 'step'), join(dir, 'step.c')])
  const root = join(dir, 'source')
  await mkdir(root)
  execFileSync('cp', [join(dir, 'step'), root])
  return {
    /** The steps of a Dockerfile, solved; the log is there while it runs. */
    async solve(steps: string[], signal = AbortSignal.timeout(60_000), events: NewEvent[] = []) {
      const folder = join(dir, randomUUID())
      execFileSync('cp', ['-a', root, folder])
      await writeFile(join(folder, 'Dockerfile'), ['FROM scratch', 'COPY step /step', ...steps].join('\n'))
      const tree = treeOf(folder)
      const dockerfile = await readDockerfile(tree, 'Dockerfile')
      using context = buildkit.offer('app', tree, dockerfile)
      const options = {
        ref: randomUUID(),
        app: 'app',
        cache: null,
        names: [`${registry}/app:one`],
        labels: {},
        secrets: new Map<string, string>(),
        rebuild: false,
        tell: (event: NewEvent) => void events.push(event),
        pushing() {},
      }
      return await buildkit.solve(
        { dockerfile, target: null, platform: 'linux/amd64', cacheKey: 'app', buildArgs: {}, context },
        options,
        signal,
      )
    },
  }
}

export const logText = (events: NewEvent[]) =>
  events.flatMap((event) => (event.type === 'log' ? event.text.split('\n') : [])).join('\n')
export const notes = (events: NewEvent[]) => events.flatMap((event) => (event.type === 'note' ? [event.text] : []))

export async function problemOf(solved: Promise<unknown>): Promise<Problem> {
  const error = await solved.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(error instanceof Problem)) throw new Error('it was no Problem', { cause: error })
  return error
}
