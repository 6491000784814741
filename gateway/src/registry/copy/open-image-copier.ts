import type { Config } from '../../config.ts'
import { speaksPlainHttp } from '../plain-http.ts'
import type { Registry } from '../registry.ts'
import { ImageCopier, type RegistryLogin } from './image-copier.ts'

/** Makes the copier of images. `registry`: of the apps' own images. */
export function openImageCopier(
  { registry: host, secrets, plainHttp, foreign }: Config,
  registry: Registry,
  registryLogin: RegistryLogin,
): ImageCopier {
  const login = { username: 'x', password: secrets.fly }
  const { mode, open, maxBytes } = foreign
  const own = { host, login, insecure: speaksPlainHttp(host, plainHttp) }
  return new ImageCopier({ own, foreign: mode, open, plainHttp, maxBytes, registryLogin }, registry)
}
