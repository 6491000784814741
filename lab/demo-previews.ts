/**
 * `npm run demo -- --previews`: short-lived machines as a story. A folder becomes a preview, an owner
 * has three, the fourth is refused and then takes the place of the oldest, and each ends by itself or
 * by hand with nothing left on Fly.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Preview, PreviewPage } from '#api/previews/preview.ts'
import { exitCodeOf } from '#api/problem/exit-codes.ts'
import { routes } from '#api/routes.ts'
import type { Lab } from './start-lab.ts'
import { askFly, readPage } from './use-lab.ts'

const app = 'hello-dockerfile'
const root = join(import.meta.dirname, '..')
const owner = ['--owner', 'alice']

export async function previewStory(lab: Lab): Promise<void> {
  say('A preview of a folder: built, started in an app and a network of its own, and ready')
  const first = await tarmac(lab, ['preview', app, `examples/${app}`, ...owner, '--ttl', '10m'])
  await showPage(lab, first)

  say('Two more of the image that is built already, one for 20 seconds')
  const { deployment } = (await living(lab))[0]!
  const built = ['preview', app, '--deployment', deployment, ...owner]
  await tarmac(lab, [...built, '--ttl', '20s'])
  await tarmac(lab, built)

  say('The fourth is refused, and the answer names the three')
  await tarmac(lab, built, exitCodeOf['preview-limit'])

  say('With --evict oldest it takes the place of the first')
  await showPage(lab, await tarmac(lab, [...built, '--evict', 'oldest']))
  await tarmac(lab, ['preview', 'ls', app])

  say('The one for 20 seconds ends by itself')
  while ((await living(lab)).length > 2) await sleep(500)

  say('The others end by hand, and Fly has nothing of them')
  await tarmac(lab, ['preview', 'destroy', ...(await living(lab)).map(({ id }) => id)])
  const { apps } = await askFly<{ apps: { name: string }[] }>(lab, 'GET', '/apps?org_slug=personal')
  const left = apps.filter(({ name }) => name.includes('-pv-'))
  console.log(`apps of previews on Fly: ${left.length}`)
  if (left.length > 0) throw new Error(`left on Fly: ${left.map(({ name }) => name).join(', ')}`)
}

/** The previews that have not ended, oldest first. */
async function living(lab: Lab): Promise<Preview[]> {
  const headers = { authorization: `Bearer ${lab.token}` }
  const answer = await fetch(`${lab.gateway}${routes.previews}?app=${app}`, { headers })
  const { previews } = (await answer.json()) as PreviewPage
  return previews.filter(({ endedAt }) => endedAt === null).toReversed()
}

async function showPage(lab: Lab, url: string): Promise<void> {
  const [name = ''] = new URL(url.trim()).hostname.split('.')
  console.log(`${name} says: ${(await readPage(lab, name)).body.trim()}`)
}

/** Runs the client of this checkout as a user does, and returns what it prints. */
async function tarmac(lab: Lab, words: string[], exitCode = 0): Promise<string> {
  console.log(`$ tarmac ${words.join(' ')}`)
  const env = {
    PATH: process.env['PATH'],
    TARMAC_GATEWAY: lab.gateway,
    TARMAC_TOKEN: lab.token,
  }
  const child = spawn(process.execPath, [join(root, 'client/src/main.ts'), ...words], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  process.stdout.write(printed)
  if (code !== exitCode) throw new Error(`tarmac ${words[0]} ended with exit code ${String(code)}`)
  return printed
}

function say(line: string): void {
  console.log(`\n== ${line}`)
}
