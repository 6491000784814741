import { z } from 'zod'
import { kibibytes, list, maxDays, mebibytes, number, port, secondsAsMs, text } from './kinds.ts'
import { setting } from './setting.ts'

const hourMs = 3_600_000

export const images = {
  registry: setting('TARMAC_REGISTRY', text, 'registry.fly.io').describe(
    'Registry for the apps’ images, as host or host:port.',
  ),
  plainHttp: setting('TARMAC_PLAIN_HTTP', list, '').describe(
    'Registries and mirrors that speak plain HTTP, as host:port, separated by commas, such as a mirror in your private network. Those on loopback always do.',
  ),
  foreign: z.object({
    mode: setting('TARMAC_FOREIGN_IMAGES', z.enum(['copy', 'leave']), 'copy').describe(
      'Images of other registries that are deployed by name. `copy`: to the app’s own repository. `leave`: machines get them from where they are, by digest; those that need a login are copied. See images.md.',
    ),
    maxBytes: setting('TARMAC_MAX_IMAGE_MIB', mebibytes, 8192).describe(
      'Largest image that the gateway copies from another registry, in MiB as stored there.',
    ),
  }),
  mirror: z.object({
    url: setting(
      'TARMAC_PUSH_MIRROR',
      z
        .string()
        .regex(
          /^(?:auto|off|http:\/\/[\w.-]+(?::\d+)?)$/,
          'must be auto, off, or http://host:port',
        ),
      'auto',
    ).describe(
      'Mirror of the registry through which images are pushed. `auto`: in a machine of Fly the one of its host, elsewhere none. `off`: none. Or `http://host:port`.',
    ),
    port: setting('TARMAC_PUSH_PORT', port, 8413).describe(
      'Loopback port to which the build daemon pushes images for the mirror. Open only if a mirror is set up.',
    ),
    minBytesPerS: setting('TARMAC_MIRROR_MIN_KIB', kibibytes, 1024).describe(
      'Slowest mirror that the gateway accepts, in KiB per second, measured over each 10 s in which it waits for the mirror. Below that, the push starts again to the registry.',
    ),
    copyMs: setting('TARMAC_MIRROR_COPY', secondsAsMs, 90).describe(
      'Seconds that the mirror has to copy an image to the registry. After that, the gateway pushes the image to the registry itself.',
    ),
  }),
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
