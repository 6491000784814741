import { z } from 'zod'
import { list, maxDays, number, text } from './kinds.ts'
import { setting } from './setting.ts'

const hourMs = 3_600_000

export const images = {
  registry: setting('TARMAC_REGISTRY', text, 'registry.fly.io').describe(
    'Registry for the apps’ images, as host or host:port.',
  ),
  plainHttp: setting('TARMAC_PLAIN_HTTP', list, '').describe(
    'Registries and mirrors that speak plain HTTP, as host:port, separated by commas, such as a mirror in your private network. Those on loopback always do.',
  ),
  registryCache: setting(
    'TARMAC_REGISTRY_CACHE',
    z
      .string()
      .regex(
        /^$|\{app\}/,
        'must hold {app}: a cache that apps share would let one change another’s builds',
      ),
    '',
  ).describe(
    'Where a registry keeps a copy of the build cache, as `host/{app}:cache`. For a gateway that may lose its volume.',
  ),
  dockerConfig: setting('TARMAC_DOCKER_CONFIG', text, '').describe(
    'Path of a docker `config.json` with logins for base images, by host. With `{app}` in the path, each app has its own file.',
  ),
  images: z.object({
    allowed: setting(
      'TARMAC_IMAGES',
      list,
      'docker.io,ghcr.io,quay.io,gcr.io,public.ecr.aws,mcr.microsoft.com,registry.k8s.io',
    ).describe(
      'Images that builds may start from: registries, or repositories and folders of them (`ghcr.io/acme`), separated by commas. An app may always use its own images, and never those of other apps.',
    ),
    frontends: setting('TARMAC_FRONTENDS', list, 'docker.io/docker/dockerfile').describe(
      'Images that a Dockerfile’s syntax line may name. The usual `docker/dockerfile:1` is part of the build daemon and is not fetched.',
    ),
    refreshMs: setting(
      'TARMAC_BASE_REFRESH',
      number({ min: 0, max: maxDays * 24 }).transform((hours) => hours * hourMs),
      24,
    ).describe(
      'Hours for which the gateway uses the digest that it found for the name of a base image.',
    ),
  }),
}
