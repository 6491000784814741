import type { Lab } from '../lab/start-lab.ts'
import { askFly, readPage } from '../lab/use-lab.ts'

export const app = 'bench-previews'

/** As the Machines API's guide does it: an app with its network and address, a machine, a wait. Returns its id once it answers. */
export async function createByHand(lab: Lab, name: string, image: string): Promise<string> {
  await askFly(lab, 'POST', '/apps', { name, org_slug: 'personal', network: name })
  await askFly(lab, 'POST', `/apps/${name}/ip_assignments`, { type: 'private_v6' })
  const service = {
    protocol: 'tcp',
    internal_port: 8080,
    autostart: true,
    autostop: 'stop',
    ports: [{ port: 80, handlers: ['http'] }],
  }
  const guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 512 }
  const { id } = await askFly<{ id: string }>(lab, 'POST', `/apps/${name}/machines`, {
    name: 'app-1',
    config: { image, guest, services: [service] },
  })
  await askFly(lab, 'GET', `/apps/${name}/machines/${id}/wait?state=started&timeout=60`)
  await untilAnswer(lab, name)
  return id
}

/** The first answer is what a user waits for. */
export async function untilAnswer(lab: Lab, name: string): Promise<void> {
  const isUp = async () => (await readPage(lab, name)).body === 'hello'
  while (!(await isUp().catch(() => false)));
}

export async function ask<T>(lab: Lab, method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(lab.gateway + path, {
    method,
    headers: { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!response.ok)
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.json() as Promise<T>
}
