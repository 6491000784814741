import type { Config } from '../../config.ts'
import { speaksPlainHttp } from '../plain-http.ts'
import { namedHosts } from '../public-agent.ts'
import type { Registry } from '../registry.ts'
import { ImageCopier, type LoginFor } from './image-copier.ts'

/** Makes the copier of images. `registry`: of the apps' own images. */
export function openImageCopier(
  config: Config,
  registry: Registry,
  registryLogin: LoginFor,
): ImageCopier {
  const { registry: host, secrets, plainHttp, foreign, buildkit } = config
  const named = namedHosts(config)
  const login = { username: 'x', password: secrets.fly }
  const { mode, maxBytes } = foreign
  const own = { host, login, insecure: speaksPlainHttp(host, plainHttp) }
  return new ImageCopier(
    { own, foreign: mode, mirrors: buildkit.mirrors, named, plainHttp, maxBytes, registryLogin },
    registry,
  )
}
