import { expect, test } from 'vitest'
import { pageApp, startTestLab } from './start.ts'

test('a volume in fly.toml is created, mounted, and kept over deployments', async () => {
  await using lab = await startTestLab()
  const toml =
    '[mounts]\nsource = "data"\ndestination = "/data"\n[http_service]\ninternal_port = 8080\n'
  const first = await lab.held('kept', { ...pageApp('first'), 'fly.toml': toml })
  expect(first.record.state).toBe('live')

  const { id } = (await lab.machines('kept'))[0]!
  const exec = async (script: string) => {
    const headers = { authorization: `Bearer ${lab.flyToken}` }
    const body = JSON.stringify({ command: ['sh', '-c', script] })
    const answer = await fetch(`${lab.flyApi}/v1/apps/kept/machines/${id}/exec`, {
      method: 'POST',
      headers,
      body,
    })
    return ((await answer.json()) as { stdout: string }).stdout
  }
  await exec('echo kept > /data/note')
  const second = await lab.held('kept', { ...pageApp('second'), 'fly.toml': toml })
  expect(second.record.state).toBe('live')
  expect(await exec('cat /data/note')).toBe('kept\n')
  expect(await lab.page('kept')).toBe('second')
})
