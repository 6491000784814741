import { join } from 'node:path'

/** What of a lab an appliance in it must know. */
type InLab = {
  dir: string
  flyApi: string
  flyToken: string
  /** Where machines reach Fly and the package registries. */
  inside: { api: string; registry: string; images: string; network: Record<string, string> }
}

/** The name that `tarmac up` gives to the builder of the lab's organisation. */
export const labBuilder = 'tarmac-personal'

/** The settings with which an appliance in a machine of localfly reaches the lab. */
export function settingsInLab(lab: Pick<InLab, 'inside' | 'flyToken'>): Record<string, string> {
  return { ...openSettings(lab), TARMAC_FLY_TOKEN: lab.flyToken, TARMAC_FLY_ORG: 'personal' }
}

function openSettings({ inside }: Pick<InLab, 'inside'>): Record<string, string> {
  const { api, registry, images, network } = inside
  return {
    ...network,
    TARMAC_FLY_API: api,
    TARMAC_FLY_WEB_API: api,
    TARMAC_REGISTRY: registry,
    TARMAC_PLAIN_HTTP: `${registry},${images}`,
    TARMAC_MIRRORS: ['docker.io', 'ghcr.io'].map((host) => `${host}=${images}`).join(','),
    TARMAC_WATCH: '1',
    TARMAC_PROXY_PAUSE: '1',
  }
}

/** With these variables and options `tarmac up` makes a builder in the lab. */
export function upInLab(lab: InLab) {
  const settings = Object.entries(openSettings(lab)).flatMap(([name, value]) => [
    '--env',
    `${name}=${value}`,
  ])
  return {
    env: {
      FLY_API_TOKEN: lab.flyToken,
      FLY_FLAPS_BASE_URL: lab.flyApi,
      FLY_REGISTRY_HOST: lab.inside.registry,
      // Not among the user's own builders.
      XDG_CONFIG_HOME: join(lab.dir, 'config'),
    },
    options: ['--region', 'ams', '--size', 'performance-2x:4gb', '--volume', '10', ...settings],
  }
}
