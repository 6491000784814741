import type { Build, ImageConfig, SolveOptions } from './build.ts'

/** The request for a solve: the graph or the Dockerfile, the export, and the caches. */
export function requestOf(
  build: Build,
  { names, labels, annotations = {}, rebuild, cache }: SolveOptions,
) {
  const attrs = {
    name: names.join(','),
    push: 'true',
    'oci-mediatypes': 'true',
    // Three times as fast as gzip, and smaller; base layers keep their compression.
    compression: 'zstd',
    ...Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [`annotation.${name}`, value]),
    ),
  }
  const imports = cache ? [{ type: 'registry', attrs: { ref: cache } }] : []
  const kept = { mode: 'max', 'ignore-error': 'true', compression: 'zstd' }
  const exports = imports.map(({ type, attrs: { ref } }) => ({ type, attrs: { ref, ...kept } }))

  if ('definition' in build) {
    const config = { ...build.image, config: withLabels(build.image.config, labels) }
    return {
      definition: build.definition,
      cache: { imports, exports },
      exporters:
        names.length > 0
          ? [
              {
                type: 'image',
                attrs: { ...attrs, 'containerimage.config': JSON.stringify(config) },
              },
            ]
          : [],
    }
  }

  const { frontend, path } = build.dockerfile
  // A frontend that gets `cmdline` treats the syntax line as handled. It does not load the image
  // that the Dockerfile names.
  const reader = frontend ? { source: frontend, cmdline: frontend } : { cmdline: 'dockerfile.v0' }
  // Build arguments that begin with `BUILDKIT_` control the builder. The sender must not set them.
  const own = Object.entries(build.buildArgs).filter(([name]) => !name.startsWith('BUILDKIT_'))
  const buildArgs = { ...Object.fromEntries(own), BUILDKIT_CACHE_MOUNT_NS: build.cacheKey }

  return {
    frontend: frontend ? 'gateway.v0' : 'dockerfile.v0',
    frontendAttrs: {
      context: build.context.url,
      filename: path,
      platform: build.platform,
      ...reader,
      ...(build.target && { target: build.target }),
      ...(build.hostname && { hostname: build.hostname }),
      ...(rebuild && { 'no-cache': '' }),
      ...(cache && {
        'cache-imports': JSON.stringify(
          imports.map(({ type, attrs }) => ({ Type: type, Attrs: attrs })),
        ),
      }),
      ...Object.fromEntries([...prefixed('build-arg', buildArgs), ...prefixed('label', labels)]),
    },
    cache: { imports: [], exports },
    exporters: [{ type: 'image', attrs }],
  }
}

const prefixed = (prefix: string, values: Record<string, string>) =>
  Object.entries(values).map(([name, value]) => [`${prefix}:${name}`, value] as const)

const withLabels = (config: ImageConfig['config'], labels: Record<string, string>) => ({
  ...config,
  Labels: { ...config?.Labels, ...labels },
})
