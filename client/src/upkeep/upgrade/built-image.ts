import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { Problem } from '#api/problem.ts'
import { followToEnd } from '../../follow-deployment.ts'
import { Gateway } from '../../gateway.ts'
import type { Printer } from '../../print.ts'
import { uploadDeployment } from '../../sending/upload.ts'
import { findCheckout, packCheckout, pinnedDockerfile } from '../../up/image/checkout.ts'

type From = { app: string; gateway: { url: URL; token: string } | null; folders: string[] }

/**
 * Builds the image of this checkout: the builder builds it itself, as a deployment of its own app
 * that touches no machine. Returns its reference.
 */
export async function builtImage(
  { app, gateway, folders }: From,
  printer: Printer,
  signal: AbortSignal,
): Promise<string> {
  const [root] = (await Promise.all(folders.map(findCheckout))).flatMap((found) => found ?? [])
  if (root === undefined)
    throw new Problem(
      'option-invalid',
      'Name the image: tarmac upgrade --image REF. Without it, upgrade builds one from a checkout of Tarmac, and neither this folder nor the client is in one.',
    )
  if (gateway === null)
    throw new Problem(
      'option-invalid',
      'The builder builds its own new image, so this computer must reach it: set TARMAC_GATEWAY and TARMAC_TOKEN. Or give --image REF.',
    )

  printer.note(`building the image of ${root} on the builder itself`)
  const api = new Gateway(gateway.url, gateway.token)
  const body = Readable.from([await packCheckout(root)])
  const options = { deploy: false, dockerfile: pinnedDockerfile }
  const request = { app, options, secrets: new Map<string, string>(), key: randomUUID() }
  const deployment = await uploadDeployment(api, request, body, signal)
  await followToEnd(deployment, api, printer, { signal })
  const { state, image, problem } = await api.find(deployment.id, signal)
  if (state === 'built' && image) return image.reference
  throw new Problem(
    'builder-failed',
    `The image was not built (${state}${problem ? `: ${problem.detail}` : ''}). The builder runs as before.`,
  )
}
