import type { Build, ImageConfig, SolveOptions } from './build.ts'
import { dockerfileInputs } from './context/dockerfile-inputs.ts'

type GraphBuild = Extract<Build, { definition: Uint8Array }>
type DockerfileBuild = Exclude<Build, GraphBuild>

/** The request for a solve: the graph or the Dockerfile, the export, and the caches. */
export const requestOf = (build: Build, options: SolveOptions) =>
  'definition' in build ? graphRequest(build, options) : dockerfileRequest(build, options)

function graphRequest({ definition, image }: GraphBuild, options: SolveOptions) {
  const { names, labels, cache } = options
  const config = { ...image, config: withLabels(image.config, labels) }
  const attrs = { ...exportAttrs(options), 'containerimage.config': JSON.stringify(config) }

  return {
    definition,
    cache: { imports: cacheImports(cache), exports: cacheExports(cache) },
    exporters: names.length > 0 ? [{ type: 'image', attrs }] : [],
  }
}

function dockerfileRequest(build: DockerfileBuild, options: SolveOptions) {
  const { labels, rebuild, cache } = options
  const { frontend, path } = build.dockerfile
  // A frontend that gets `cmdline` treats the syntax line as handled. It does not load the image
  // that the Dockerfile names.
  const reader = frontend ? { source: frontend, cmdline: frontend } : { cmdline: 'dockerfile.v0' }
  // Build arguments that begin with `BUILDKIT_` control BuildKit itself. The sender must not set them.
  const own = Object.entries(build.buildArgs).filter(([name]) => !name.startsWith('BUILDKIT_'))
  const buildArgs = { ...Object.fromEntries(own), BUILDKIT_CACHE_MOUNT_NS: build.cacheKey }
  const imports = cacheImports(cache).map(({ type, attrs }) => ({ Type: type, Attrs: attrs }))

  return {
    frontend: frontend ? 'gateway.v0' : 'dockerfile.v0',
    frontendAttrs: {
      filename: path,
      platform: build.platform,
      ...reader,
      ...(build.target && { target: build.target }),
      ...(build.hostname && { hostname: build.hostname }),
      ...(rebuild && { 'no-cache': '' }),
      ...(cache && { 'cache-imports': JSON.stringify(imports) }),
      ...Object.fromEntries([...prefixed('build-arg', buildArgs), ...prefixed('label', labels)]),
    },
    frontendInputs: dockerfileInputs(build.dockerfile, build.context),
    cache: { imports: [], exports: cacheExports(cache) },
    exporters: [{ type: 'image', attrs: exportAttrs(options) }],
  }
}

const exportAttrs = ({ names, annotations = {}, compression = {} }: SolveOptions) => ({
  name: names.join(','),
  push: 'true',
  'oci-mediatypes': 'true',
  // Three times as fast as gzip, and smaller; base layers keep their compression.
  compression: compression.type ?? 'zstd',
  ...(compression.level !== undefined && { 'compression-level': `${compression.level}` }),
  ...Object.fromEntries(
    Object.entries(annotations).map(([name, value]) => [`annotation.${name}`, value]),
  ),
})

const cacheImports = (cache: string | null) =>
  cache ? [{ type: 'registry', attrs: { ref: cache } }] : []

const cacheExports = (cache: string | null) =>
  cacheImports(cache).map(({ type, attrs: { ref } }) => ({
    type,
    attrs: { ref, mode: 'max', 'ignore-error': 'true', compression: 'zstd' },
  }))

const prefixed = (prefix: string, values: Record<string, string>) =>
  Object.entries(values).map(([name, value]) => [`${prefix}:${name}`, value] as const)

const withLabels = (config: ImageConfig['config'], labels: Record<string, string>) => ({
  ...config,
  Labels: { ...config?.Labels, ...labels },
})
