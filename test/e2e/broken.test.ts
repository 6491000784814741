import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { shareLab } from './shared-lab.ts'
import { startTestLab, type TestLab } from './start.ts'

const folder = join(import.meta.dirname, '../../examples/broken')
const run = promisify(execFile)
let lab: TestLab
shareLab(
  // The watch is longer than the late crash takes.
  () =>
    startTestLab({
      TARMAC_WATCH: '4',
      TARMAC_MACHINE_TIMEOUT: '120',
      TARMAC_MAX_DEPLOYS: '4',
      TARMAC_MAX_BUILDS: '2',
    }),
  (fresh) => void (lab = fresh),
)

const sender = /\nThe sender can fix it: /
const crashed = /\nThe new version did not become live\. Machine \w+ crashed: its process /
const notThere =
  /The command is not in the image, or it is a script with Windows line ends \(CRLF\)/

/** What the last ten lines hold: the program's own words, and what they mean or what to do. */
const apps: Record<string, RegExp[]> = {
  'build-error': [
    /\| npm error code EUSAGE\n/,
    /\| npm error Missing: ms@\S+ from lock file\n/,
    /\nThe build failed\. The step “\[4\/5\] RUN” failed: it ended with exit code 1\.\n/,
  ],
  'failing-check': [
    /did not pass its checks within 20 s \(check \S+ is critical: HTTP GET http:\S+\/health: 404 Not Found\)/,
    /A check passes on a status from 200 to 299: the app must answer so at the check's path\./,
  ],
  'late-crash': [/\| Error: connect ECONNREFUSED 127\.0\.0\.1:5432\n/, crashed],
  'missing-module': [/\| ModuleNotFoundError: No module named 'flask'\n/, crashed],
  'missing-variable': [/\| Error: DATABASE_URL is not set\n/, crashed],
  'out-of-memory': [
    /\| Loading the catalogue\n/,
    /crashed: its process ran out of memory/,
    /It has 256 MB; memory in \[\[vm\]\] of fly\.toml gives it more/,
  ],
  'release-command': [
    /\| sqlite3\.OperationalError: no such table: orders\n/,
    /The release_command \(python migrate\.py\) ended by itself with exit code 1, before any machine/,
  ],
  'syntax-error': [
    /\| file:\/\/\/app\/server\.js:5\n/,
    /\| SyntaxError: missing \) after/,
    crashed,
  ],
  'windows-script': [
    /\| {2}ERROR Error: failed to spawn command: \/start\.sh: No such file or directory/,
    notThere,
  ],
  'wrong-address': [
    /\| Listening on http:\/\/127\.0\.0\.1:3000\n/,
    /What listens instead: node server\.mjs on 127\.0\.0\.1:3000\. The app must listen on 0\.0\.0\.0:8080\./,
  ],
  'wrong-command': [/failed to spawn command: gunicorn main:app: No such file/, notThere],
  'wrong-process': [
    /\| Error: Cannot find module '\/app\/dist\/server\.mjs'\n/,
    /The command of its process group web is: node dist\/server\.mjs\./,
  ],
}

test('each broken app shows its cause and the next step in its last ten lines, by the client and by curl', async () => {
  const folders = (await readdir(folder, { withFileTypes: true })).filter((at) => at.isDirectory())
  expect(folders.map(({ name }) => name).toSorted()).toEqual(Object.keys(apps))

  const env = { ...process.env, TARMAC_GATEWAY: lab.gateway, TARMAC_TOKEN: lab.token }
  const outputOf = (app: string) => run(join(folder, 'run'), [app], { env, timeout: 240_000 })
  // The first one pulls the base image, for which the check of another would not wait.
  await outputOf('wrong-process')
  const shown = await Promise.all(Object.keys(apps).map(outputOf))
  for (const [index, [app, expected]] of Object.entries(apps).entries()) {
    const parts = shown[index]!.stdout.split(/^== .*\n/m).slice(1)
    expect(parts, app).toHaveLength(2)
    for (const [way, part] of parts.entries()) {
      const last = part.trimEnd()
      expect(last.split('\n').length, app).toBeLessThanOrEqual(10)
      const next = way === 0 ? 'tarmac follow \\S+' : 'curl -H \\S+ Bearer \\$T" \\$GATEWAY/v1/\\S+'
      const end = new RegExp(`\\nNext: correct it, and deploy again\\. The whole log: ${next}$`)
      for (const words of [...expected, sender, end]) expect.soft(last, app).toMatch(words)
    }
    expect(await lab.machines(`broken-${app}`), app).toEqual([])
  }
})
