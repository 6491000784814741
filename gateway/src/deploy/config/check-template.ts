import { DeploymentOptions } from '#api/options.ts'
import type { NewTemplate } from '#api/previews/template.ts'
import { desiredApp } from './desired.ts'
import { forPreview, type PreviewSettings } from './preview.ts'

/** Returns a check that throws `fly-config-invalid` for the config of a template that no preview can have. */
export const templateChecker =
  (settings: PreviewSettings) =>
  (app: string, { format, config }: NewTemplate): void => {
    const options = DeploymentOptions.parse({})
    const from = { flyToml: config, path: `fly.${format}`, defaults: { region: 'iad' } }
    forPreview(desiredApp({ app, options, ...from }), settings)
  }
