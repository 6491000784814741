import { z } from 'zod'

const Part = z.object({ digest: z.string() })
const Parts = z.object({ config: Part, layers: z.array(Part).nullish() })
const types = 'application/vnd.oci.image.manifest.v1+json'

/** The mirror's own repository of an app, in the lab's registry: a path of the API. */
export const inMirror = (path: string): string => path.replace(/^\/v2\/(?=.)/, '/v2/mirror/')

/**
 * Copies an image from the mirror to the app's repository, as Fly's mirror does with what was pushed
 * to it. Throws if the image is not whole.
 */
export async function copyImage(
  registry: string,
  { app, tag, digest }: { app: string; tag: string; digest: string },
): Promise<void> {
  const call = async (path: string, more: RequestInit = {}) => {
    const signal = AbortSignal.timeout(20_000)
    const answer = await fetch(`http://${registry}${path}`, { ...more, signal })
    if (!answer.ok) throw new Error(`${more.method ?? 'GET'} ${path}: ${answer.status}`)
    return answer
  }
  const manifest = await (
    await call(inMirror(`/v2/${app}/manifests/${digest}`), { headers: { accept: types } })
  ).text()
  const { config, layers } = Parts.parse(JSON.parse(manifest))
  for (const part of [config, ...(layers ?? [])]) {
    const mount = `mount=${part.digest}&from=mirror/${app}`
    const answer = await call(`/v2/${app}/blobs/uploads/?${mount}`, { method: 'POST' })
    if (answer.status !== 201) throw new Error(`the mirror has no ${part.digest}`)
  }
  await call(`/v2/${app}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': types },
    body: manifest,
  })
}
