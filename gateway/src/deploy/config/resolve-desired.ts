import type { Deployment } from '#api/deployment.ts'
import type { PreviewOf } from '#api/previews/preview.ts'
import { findRelease, type ReleaseStore } from '../../deployments/release-store.ts'
import { templateOf } from '../../deployments/previews/template-of.ts'
import type { TemplateStore } from '../../deployments/previews/template-store.ts'
import type { SourceTree } from '../../deployments/source-tree.ts'
import { openSource } from '../../host/read-source-file.ts'
import { findConfig } from './config-file.ts'
import type { DesiredApp } from './desired-app.ts'
import { desiredApp, forOwner, withOptions } from './desired.ts'
import { withoutEnv } from './without-env.ts'
import { forPreview, previewGuest, type PreviewSettings, previewToml } from './preview.ts'
import { readDesired } from './read-desired.ts'
import { keysOf, restoreConfig } from './restore-config.ts'

type ResolveDeps = {
  releases: Pick<ReleaseStore, 'find' | 'list'>
  /** The region of new machines, unless an option or fly.toml names one. */
  region: string
  previews: PreviewSettings
  templates: Pick<TemplateStore, 'find'>
}

/**
 * The desired config of a deployment for its owner: from the source, else from release `from`, else
 * without fly.toml.
 */
export async function resolveDesired(
  deployment: Deployment,
  tree: SourceTree | null,
  { releases, region, previews, templates }: ResolveDeps,
): Promise<DesiredApp> {
  const { app, options, from, image, preview } = deployment
  const settings = preview ? previews : undefined
  const template = preview ? await configOfTemplate(preview, templates) : null
  const own = template ?? (settings && { flyToml: previewToml(settings), path: previewPath })
  const guest = settings && { guest: previewGuest(settings) }
  const defaults = { region, port: image?.port, ...guest }
  const desired =
    !tree && from && !template
      ? await desiredOfRelease(deployment, from, releases)
      : desiredApp({
          app,
          options,
          defaults,
          ...own,
          ...(tree && !template && configOf(tree, options, own)),
        })
  return settings ? forPreview(desired, settings) : forOwner(desired, options)
}

const previewPath = 'the config of previews'

/** The config of a preview's template. It decides alone, whatever the source says. */
async function configOfTemplate(
  preview: PreviewOf,
  templates: Pick<TemplateStore, 'find'>,
): Promise<{ flyToml: string; path: string } | null> {
  const found = await templateOf(preview, templates)
  return found && { flyToml: found.config, path: `${found.name}@${found.version}.${found.format}` }
}

/** `otherwise`: the config of a source without one. */
function configOf(
  tree: SourceTree,
  { config }: Deployment['options'],
  otherwise: { flyToml: string; path: string } | undefined,
) {
  const { file, warnings } = findConfig(tree, config)
  const found = file ? { flyToml: file.text, path: file.path } : otherwise
  return { ...found, warnings, readFile: openSource(tree) }
}

/** The config of an earlier release. If it is one of the same target, this is a rollback. */
async function desiredOfRelease(
  { app, owner, options }: Deployment,
  from: NonNullable<Deployment['from']>,
  releases: ResolveDeps['releases'],
): Promise<DesiredApp> {
  const { desired } = await findRelease(releases, from.app, from.owner, from.release)
  const adapted = withOptions(withoutEnv(readDesired(desired), from.withoutEnv ?? []), options)
  if (from.app !== app || from.owner !== owner) return adapted
  return restoreConfig(adapted, await releasesAfter(from, releases))
}

const pageSize = 20

/** The later releases, newest first. Reads them in pages, because some are large. */
async function releasesAfter(
  { app, owner, release }: NonNullable<Deployment['from']>,
  releases: ResolveDeps['releases'],
): Promise<DesiredApp[]> {
  const later: DesiredApp[] = []
  for (let before: string | null = null; ;) {
    const page = await releases.list(app, owner, { limit: pageSize, before })
    const found = page.releases.filter(({ number }) => number > release)
    later.push(...found.map(({ desired }) => keysOf(readDesired(desired))))
    if (found.length < page.releases.length || page.next === null) return later
    before = page.next
  }
}
