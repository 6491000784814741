import type { ImageFacts } from '#api/deployment.ts'
import { parseOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { Submissions } from '../submissions.ts'

/**
 * The image that a pool's name of it means now. Throws `image-gone`, or `option-invalid` for one of
 * another registry: a copy for each preview would be slow, and its digest is not known before.
 */
export async function findPooledImage(
  app: string,
  image: string,
  submissions: Pick<Submissions, 'look'>,
): Promise<ImageFacts> {
  const target = { app, options: parseOptions({}), inPlace: true }
  const found = await submissions.look({ image }, target)
  if (found.image) return found.image
  const detail = `A pool needs an image in the registry of the apps, as registry.fly.io/${app}:v1, and ${image} is not there. Deploy it first: tarmac image ${app} ${image}`
  throw new Problem('option-invalid', detail, { facts: { option: 'image' } })
}
