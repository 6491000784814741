import { expect, test } from 'vitest'
import { askFly } from '../../lab/use-lab.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type Files, type TestLab } from './start.ts'

let lab: TestLab
shareLab(startTestLab, (started) => void (lab = started))

const http =
  '[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\ninterval = "1s"\ntimeout = "1s"\ngrace_period = "1s"\n'
const mounts = '[mounts]\nsource = "data"\ndestination = "/data"\n'

test('a volume in fly.toml is created, mounted, and kept over deployments', async () => {
  const first = await lab.held('kept', { ...pageApp('first'), 'fly.toml': mounts + http })
  expect(first.record.state).toBe('live')

  const { id } = (await lab.machines('kept'))[0]!
  const exec = (script: string) => run('kept', id, script)
  await exec('echo kept > /data/note')
  const second = await lab.held('kept', { ...pageApp('second'), 'fly.toml': mounts + http })
  expect(second.record.state).toBe('live')
  expect(await exec('cat /data/note')).toBe('kept\n')
  expect(await lab.page('kept')).toBe('second')
})

test('[mounts] that is new in fly.toml replaces the machine with one that has the free volume', async () => {
  const deploy = (files: Files, toml: string) => lab.held('grown', { ...files, 'fly.toml': toml })
  expect((await deploy(pageApp('without'), http)).record.state).toBe('live')
  const [old] = await lab.machines('grown')
  const refused = await deploy(pageApp('with'), mounts + http)
  expect(refused.record).toMatchObject({
    state: 'build_failed',
    problem: { code: 'fly-config-invalid' },
  })
  expect(refused.text).toContain('fly volumes create data --region ams --app grown')

  const request = { name: 'data', region: 'ams', size_gb: 1 }
  const { id: volume } = await askFly<{ id: string }>(lab, 'POST', '/apps/grown/volumes', request)
  const silent = { ...pageApp('broken'), Dockerfile: 'FROM alpine\nCMD ["sleep", "1000"]\n' }
  const broken = await deploy(silent, `${mounts + http}[deploy]\nwait_timeout = "5s"\n`)
  expect(broken.record.state).toBe('deploy_failed')
  expect(await lab.machines('grown')).toMatchObject([{ id: old!.id, state: 'started' }])
  expect(await lab.page('grown')).toBe('without')

  const { record, text } = await deploy(pageApp('with'), mounts + http)
  expect(record.state).toBe('live')
  expect(text).toContain(
    `Machine ${old!.id} has no volume and cannot get one. A new machine with volume ${volume} (data) takes its place`,
  )
  const [fresh, ...others] = await lab.machines('grown')
  expect(others).toEqual([])
  expect(fresh).toMatchObject({
    state: 'started',
    config: {
      image: record.image!.reference.replace('@', `:deployment-${record.id}@`),
      mounts: [{ volume, name: 'data', path: '/data', size_gb: 1 }],
    },
  })
  expect(await lab.page('grown')).toBe('with')
  expect(await run('grown', fresh!.id, 'touch /data/note && ls /data')).toContain('note')
})

async function run(app: string, id: string, script: string): Promise<string> {
  const body = { command: ['sh', '-c', script] }
  const path = `/apps/${app}/machines/${id}/exec`
  return (await askFly<{ stdout: string }>(lab, 'POST', path, body)).stdout
}
