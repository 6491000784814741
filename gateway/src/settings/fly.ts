import { z } from 'zod'
import { OwnersSetting } from '#api/options/owners-setting.ts'
import { pauseMs, secondsAsMs, text } from './kinds.ts'
import { setting } from './setting.ts'

const orNull = (value: string) => value || null

const network = z
  .string()
  .regex(
    /^([a-zA-Z][a-zA-Z0-9-]*)?$/,
    'must be the name of a network: a letter, then letters, digits and dashes',
  )
  .transform(orNull)

export const fly = {
  fly: z.object({
    api: setting('TARMAC_FLY_API', z.url(), 'https://api.machines.dev').describe(
      'Base URL of the Machines API.',
    ),
    webApi: setting('TARMAC_FLY_WEB_API', z.url(), 'https://api.fly.io').describe(
      'Base URL of Fly’s web API, where the gateway registers releases for flyctl, and asks for the networks of addresses and what machines use.',
    ),
    region: setting('TARMAC_FLY_REGION', text, '').describe(
      'Region of new machines. Default: the gateway’s own (FLY_REGION).',
    ),
    publicIps: setting('TARMAC_PUBLIC_IPS', z.enum(['report', 'release']), 'report').describe(
      'What to do with public addresses that an app has after a deploy: report them in a warning, or also release them.',
    ),
  }),
  owners: setting('TARMAC_OWNERS', OwnersSetting, 'app-per-owner').describe(
    'Where the machines of new owners of an app are: each owner’s in an app of its own on Fly with a private network of its own, or all in the shared app. An app may say otherwise. An owner that has a deployment stays where it is.',
  ),
  routerUrl: setting('TARMAC_ROUTER_URL', text, 'http://{app}-router.flycast/~{owner}/').describe(
    'Template for the address of an owner’s machines in an app with a router (`tarmac router`).',
  ),
  releaseLookMs: setting('TARMAC_RELEASE_LOOK', secondsAsMs, 30).describe(
    'Seconds between two looks at the newest releases, for crashes after their deployments went live.',
  ),
  deployer: z.object({
    org: setting('TARMAC_FLY_ORG', text, 'personal').describe(
      'Organisation in which the gateway creates missing apps.',
    ),
    network: setting('TARMAC_FLY_NETWORK', network, '').describe(
      'Private network of the apps that the gateway creates, and of their Flycast addresses. Default: the organisation’s own.',
    ),
    urlTemplate: setting('TARMAC_URL', text, 'http://{app}.flycast').describe(
      'Template for the address of a live app; {app} is its name. Use `https://{app}.fly.dev` for public apps.',
    ),
    ownerUrlTemplate: setting(
      'TARMAC_OWNER_URL',
      text,
      'http://{owner}.tarmac_owner.kv._metadata.{app}.internal:{port}',
    ).describe(
      'Template for the address of an owner’s machines, by Fly’s DNS names for machine metadata. It has {owner}, {app}, and {port}, where the app listens.',
    ),
    waitMs: setting('TARMAC_MACHINE_TIMEOUT', secondsAsMs, 300).describe(
      'Seconds for one machine to start and pass its checks.',
    ),
    watchMs: setting('TARMAC_WATCH', pauseMs, 10).describe(
      'Seconds for which the gateway watches new machines for crashes before a deployment is live.',
    ),
    proxyMs: setting('TARMAC_PROXY_PAUSE', pauseMs, 10).describe(
      'Seconds that Fly’s proxy gets to notice a change: before blue machines are cordoned, and before they are stopped.',
    ),
  }),
}
