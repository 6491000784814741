import { z } from 'zod'
import {
  addresses,
  amount,
  count,
  countOrAuto,
  days,
  itemsOf,
  list,
  number,
  port,
  ranges,
  text,
} from './kinds.ts'
import { parallelismRule } from './machine-size.ts'
import { setting } from './setting.ts'

const address = z
  .string()
  .regex(
    /^(unix:\/\/\/|spawn$)/,
    'must be spawn or unix:///path/of/socket: the daemon is always on the same host',
  )

/** From a registry's host to a list of `host:port`. */
const mirrors = z
  .string()
  .regex(/^([\w.:-]+=[\w.:/-]+(,|$))*$/, 'must be like docker.io=mirror:5000,ghcr.io=mirror:5000')
  .transform((value) => {
    const byHost: Record<string, string[]> = {}
    for (const pair of itemsOf(value)) {
      const [host = '', mirror = ''] = pair.split('=')
      ;(byHost[host] ??= []).push(mirror)
    }
    return byHost
  })

export const build = {
  buildkit: z.object({
    address: setting('TARMAC_BUILDKIT', address, 'unix:///run/buildkit/buildkitd.sock').describe(
      'Socket of the build daemon. `spawn`: the gateway starts and supervises the daemon itself.',
    ),
    root: setting('TARMAC_BUILD_ROOT', text, '').describe(
      'Folder of the daemon’s cache. The gateway watches the free space of its disk. Default: `buildkit` in TARMAC_DATA.',
    ),
    contextPort: setting('TARMAC_CONTEXT_PORT', port, 8412).describe(
      'Loopback port from which the build daemon fetches source trees. Changing it makes build caches useless.',
    ),
    mirrors: setting('TARMAC_MIRRORS', mirrors, '').describe(
      'Mirrors to try before a registry, as `registry=host:port`, separated by commas. Both the gateway and a daemon that it starts use them.',
    ),
  }),
  /** For a build daemon that the gateway starts. */
  daemon: z.object({
    command: setting('TARMAC_BUILDKITD', text, '/usr/local/bin/buildkitd').describe(
      'spawn: absolute path of the daemon’s program. Its network plugins are in the same folder.',
    ),
    subnet: setting('TARMAC_BUILD_SUBNET', text, '10.210.0.0/16').describe(
      'spawn: addresses of build steps, on TARMAC_BUILD_BRIDGE.',
    ),
    steps: setting('TARMAC_MAX_STEPS', countOrAuto, 'auto').describe(
      `spawn: build steps that may run at once, over all builds. \`auto\`: ${parallelismRule}.`,
    ),
    limits: z.object({
      memory: setting('TARMAC_STEP_MEMORY', amount, '75%').describe(
        'spawn: memory for one build step, in MiB or as a share of the machine’s. A step that needs more is killed.',
      ),
      memoryOfAll: setting('TARMAC_STEPS_MEMORY', amount, '85%').describe(
        'spawn: memory for all build steps together, in MiB or as a share of the machine’s.',
      ),
      processes: setting('TARMAC_STEP_PROCESSES', count, 4096).describe(
        'spawn: processes and threads that one build step may have at once.',
      ),
      cpus: setting('TARMAC_STEP_CPUS', number({ min: 0, max: 1024 }), 0).describe(
        'spawn: CPUs for one build step, such as 1.5; 0: all of the machine’s. The gateway always has priority over build steps.',
      ),
    }),
  }),
  /** Limits of the build cache. `volumes.md` says what is removed first. */
  cache: z.object({
    size: setting('TARMAC_CACHE_SIZE', amount, '80%').describe(
      'Largest size of the build cache, in MiB or as a share of the volume.',
    ),
    perApp: setting('TARMAC_CACHE_APP', amount, '50%').describe(
      'Largest part of the build cache that one app may have for itself, in MiB or as a share of TARMAC_CACHE_SIZE.',
    ),
    days: setting('TARMAC_CACHE_DAYS', days, 30).describe(
      'Days after which a part of the build cache that no build used is removed.',
    ),
  }),
  disk: z.object({
    soft: setting('TARMAC_DISK_SOFT', amount, '30%').describe(
      'Free space of the build disk below which the gateway removes old caches when no build runs, in MiB or as a share.',
    ),
    high: setting('TARMAC_DISK_HIGH', amount, '15%').describe(
      'Free space of the build disk below which it removes old caches also while builds run, and above which it accepts work again.',
    ),
    low: setting('TARMAC_DISK_LOW', amount, '8%').describe(
      'Free space of the build disk below which the gateway accepts nothing new. Uploads leave a quarter of it free on the volume, whatever they unpack to.',
    ),
  }),
  buildNetwork: z.object({
    bridge: setting(
      'TARMAC_BUILD_BRIDGE',
      z.string().regex(/^[a-zA-Z0-9_-]{0,15}$/, 'must be the name of a bridge'),
      'tarmac0',
    ).describe(
      'Bridge of build steps, to which the gateway applies firewall rules. Empty: someone else applies them. A probe build verifies the rules.',
    ),
    dns: setting('TARMAC_BUILD_DNS', addresses, '1.1.1.1,8.8.8.8').describe(
      'DNS servers of build steps, separated by commas, as in the build daemon’s [dns].',
    ),
    allow: setting('TARMAC_BUILD_ALLOW', ranges, '').describe(
      'Addresses and ranges, separated by commas, that build steps may reach although they are not public, such as your own package mirror.',
    ),
  }),
  railpack: setting('TARMAC_RAILPACK', text, '/usr/local/bin/railpack').describe(
    'Absolute path of the planner.',
  ),
  allowOld: setting('TARMAC_ALLOW_OLD', list, '').describe(
    'Parts, separated by commas, that may be older than the gateway’s minimum, such as `runc`. The gateway then warns at its start. For a host of your own, never for the appliance.',
  ),
  planNetwork: setting('TARMAC_PLAN_NETWORK', z.enum(['public', 'none']), 'public').describe(
    'Where the planner looks up versions. `public`: the public network, with the firewall rules and DNS servers of build steps. `none`: no network.',
  ),
}
