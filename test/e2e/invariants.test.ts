import { spawn } from 'node:child_process'
import { appendFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { podmanOf } from '../../lab/at-rest.ts'
import { findFaults } from '../../lab/invariants.ts'
import type { Machine } from '../../lab/localfly/state.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
let live: Deployment
let built: Deployment
/** The files that the tests change, each beside an unchanged copy. */
let parts: { path: string; copy: string }[]
let undo: (() => unknown)[] = []

shareLab(startTestLab, async (fresh) => {
  lab = fresh
  const toml = '[http_service]\ninternal_port = 8080\nauto_stop_machines = "off"\n'
  live = (await lab.end(await lab.submit('live', { ...pageApp('live'), 'fly.toml': toml }))).record
  built = (await lab.end(await lab.submit('built', pageApp('built'), 'deploy=false'))).record
  await lab.stop('gateway')
  const paths = ['gateway', 'localfly/state.json', 'registry/docker/registry/v2/repositories']
  parts = paths.map((path, at) => ({
    path: join(lab.dir, path),
    copy: join(lab.dir, `as-it-was-${at}`),
  }))
  for (const { path, copy } of parts)
    await cp(path, copy, { recursive: true, preserveTimestamps: true })
})
afterEach(async () => {
  for (const act of undo) await act()
  undo = []
  for (const { path, copy } of parts) {
    await rm(path, { recursive: true })
    await cp(copy, path, { recursive: true, preserveTimestamps: true })
  }
})

const faults = (...promised: string[]) => findFaults(lab, promised, true)
const at = (path: string) => join(lab.dir, path)
const sql = (text: string) => {
  using database = new DatabaseSync(at('gateway/tarmac.db'))
  database.exec(text)
}
const tree = () => at(`gateway/trees/${built.source!.digest.slice(7)}`)
const tag = ({ app, id }: Deployment) =>
  at(`registry/docker/registry/v2/repositories/${app}/_manifests/tags/deployment-${id}`)
const fly = async (change: (machine: Machine, machines: Machine[]) => unknown) => {
  const state = JSON.parse(await readFile(at('localfly/state.json'), 'utf8')) as {
    machines: Machine[]
  }
  await change(state.machines[0]!, state.machines)
  await writeFile(at('localfly/state.json'), JSON.stringify(state))
}
const leaseOf = (seconds: number) =>
  fly(({ own }) => (own.lease = { ...lease, expires_at: now() + seconds }))
const lease = { nonce: 'a', owner: 'somebody', version: '', description: '' }
const now = () => Math.floor(Date.now() / 1000)
const states = `deployment = (SELECT id FROM deployments WHERE app = 'built') AND body ->> 'type' = 'state'`

test('an idle lab has no fault; an unknown deployment counts as lost, and an expired lease is no fault', async () => {
  await leaseOf(3)
  expect(await faults(live.id, built.id)).toEqual([])
  expect(await faults('nobody')).toEqual([
    { kind: 'lost', what: 'nobody was accepted and is unknown' },
  ])
})

const doctored: Record<string, [act: () => unknown, found: RegExp]> = {
  'a deployment that goes on': [
    () => sql(`UPDATE deployments SET state = 'building', ended_at = NULL WHERE app = 'built'`),
    /is still building/,
  ],
  'a record without its end': [
    () => sql(`UPDATE deployments SET ended_at = NULL WHERE app = 'built'`),
    /is torn/,
  ],
  'a log with a gap': [() => sql('DELETE FROM events WHERE seq = 2'), /its numbers/],
  'a log that leaps': [
    () => sql(`UPDATE events SET body = json_set(body, '$.from', 'live') WHERE ${states}`),
    /its chain of states/,
  ],
  'a log of another end': [
    () => sql(`UPDATE deployments SET state = 'cancelled' WHERE app = 'built'`),
    /its end, which is not cancelled/,
  ],
  'a log with two ends': [
    () => sql(`UPDATE events SET body = json_set(body, '$.state', 'built') WHERE ${states}`),
    /more than one end/,
  ],
  'a secret that was kept': [
    () =>
      sql(
        `INSERT INTO secrets SELECT 'deployment:' || id, 'A', '', x'00', '', '' FROM deployments`,
      ),
    /a secret of deployment:/,
  ],
  'a file that is not what was sent': [
    () => appendFile(join(tree(), 'files/index.html'), '!'),
    /index.html of tree/,
  ],
  'a tree that nobody owns': [() => mkdir(at('gateway/trees/other')), /^tree other/],
  'an upload that stays': [() => writeFile(at('gateway/spool/upload'), ''), /^spool\/upload/],
  'a machine twice': [
    () => fly((machine, all) => all.push({ ...machine, id: 'twin' })),
    /^machines of live: .+, .+/,
  ],
  'a machine of nobody': [
    () => fly(({ config }) => (config.metadata = { tarmac_deployment: 'other' })),
    /of deployment other, which the record does not know/,
  ],
  'a machine of another image': [
    () => fly((machine) => (machine.image_ref.digest = 'sha256:0')),
    /podman runs .* as .*, not sha256:0/,
  ],
  'a machine that is gone': [() => fly((_, all) => all.splice(0)), /^machine .* of live$/],
  'a machine of which only the container is left': [
    () => fly((_, all) => all.splice(0)),
    /^container .* is no machine's/,
  ],
  'a machine without its container': [
    () => fly((machine) => (machine.id = 'other')),
    /podman runs nothing as other/,
  ],
  'a container of nobody': [
    async () => {
      const podman = podmanOf(lab.dir)
      undo.push(() => podman.remove('stray'))
      await podman.command([
        'run',
        '--detach',
        '--pull=never',
        '--name=stray',
        live.image!.reference,
        'sleep',
        '60',
      ])
    },
    /^container stray is no machine's/,
  ],
  'a lease that is held': [() => leaseOf(60), /^the lease of machine .* is still held/],
  'an image that is live, without its tag': [
    () => rm(tag(live), { recursive: true }),
    /the image of .* leads to 404/,
  ],
  'an image that is built, without its tag': [
    () => rm(tag(built), { recursive: true }),
    /the image of .* leads to 404/,
  ],
  'an image whose tag leads elsewhere': [
    async () => {
      await cp(join(tag(built), '../../revisions'), join(tag(live), '../../revisions'), {
        recursive: true,
      })
      await writeFile(join(tag(live), 'current/link'), built.image!.digest)
    },
    /the image of .* deployment-.* leads to sha256:/,
  ],
  'an image that is gone': [
    () => rm(join(tag(built), '../../revisions'), { recursive: true }),
    /the image of .*: sha256:.* leads to 404/,
  ],
  'a planner that outlived its gateway': [
    () => {
      const planner = spawn('tail', ['-f', join(tree(), 'manifest.json')])
      undo.push(() => planner.kill())
    },
    /^process \d+ /,
  ],
}

test.each(Object.keys(doctored))('%s is found', async (name) => {
  const [act, found] = doctored[name]!
  await act()
  expect((await faults()).map(({ what }) => what)).toContainEqual(expect.stringMatching(found))
})
