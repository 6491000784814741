import { isIP } from 'node:net'
import { z } from 'zod'

const port = z.coerce.number().int().min(0).max(65_535)
/** Node fires a timer of more than 24.8 days (2^31 - 1 ms) at once. */
const maxSeconds = 2_000_000
const seconds = z.coerce.number().positive().max(maxSeconds)
const pause = z.coerce.number().min(0).max(maxSeconds)
const maxDays = 36_500
const count = z.coerce.number().int().min(1).max(1_000_000_000)
/** The items of a comma-separated setting. */
export const list = (text: string) =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)
const addresses = z
  .string()
  .refine(
    (text) => list(text).every((each) => isIP(each)),
    'must be addresses, separated by commas',
  )
const ranges = z
  .string()
  .refine(
    (text) => list(text).every((each) => isIP(each.replace(/\/\d{1,3}$/, ''))),
    'must be addresses or ranges, separated by commas',
  )
const mark = z.string().regex(/^\d{1,9}(\.\d+)?%?$/, 'must be a number of MiB, or a share like 5%')

/**
 * Every setting by its name in the environment: its type, default and purpose.
 * `docs/settings.md` is checked against this table. Nothing else in the gateway reads the
 * environment.
 */
export const settings = z.object({
  TARMAC_HOST: z
    .string()
    .default('127.0.0.1')
    .describe('Address to listen on. Anything but loopback needs TARMAC_TOKENS.'),
  TARMAC_PORT: port.default(8080).describe('Port of the HTTP interface.'),
  TARMAC_TOKENS: z
    .string()
    .default('')
    .describe('Tokens that callers may use, separated by commas; at least 16 characters each.'),
  TARMAC_SECRETS_KEY: z
    .string()
    .default('')
    .describe(
      'Key under which build secrets rest: 32 bytes as base64 or hex (`openssl rand -base64 32`). None: no secrets.',
    ),
  TARMAC_DATA: z
    .string()
    .default('/data')
    .describe('The volume: spool, source trees, database. See volumes.md.'),
  TARMAC_LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('How much the operator’s log tells.'),
  TARMAC_BUILDKIT: z
    .string()
    .regex(
      /^(unix:\/\/\/|spawn$)/,
      'must be spawn or unix:///path/of/socket: the daemon is always on the same host',
    )
    .default('unix:///run/buildkit/buildkitd.sock')
    .describe(
      'The build daemon’s socket; `spawn`: the gateway starts the daemon itself and supervises it.',
    ),
  TARMAC_BUILDKITD: z
    .string()
    .default('/usr/local/bin/buildkitd')
    .describe('spawn: the daemon’s program, as an absolute path, its network plugins beside it.'),
  TARMAC_BUILD_ROOT: z
    .string()
    .default('')
    .describe(
      'Where the daemon keeps its cache, and the disk that is watched; `buildkit` in TARMAC_DATA when empty.',
    ),
  TARMAC_BUILD_SUBNET: z
    .string()
    .default('10.210.0.0/16')
    .describe('spawn: the addresses of build steps, on TARMAC_BUILD_BRIDGE.'),
  TARMAC_MIRRORS: z
    .string()
    .regex(/^([\w.:-]+=[\w.:/-]+(,|$))*$/, 'must be like docker.io=mirror:5000,ghcr.io=mirror:5000')
    .default('')
    .describe(
      'Places that the daemon tries before a registry, and that the gateway asks, as `registry=host:port`, separated by commas. A daemon that the gateway starts gets them too.',
    ),
  TARMAC_MAX_STEPS: count
    .default(4)
    .describe('spawn: build steps at work at once, of all builds together.'),
  TARMAC_STEP_MEMORY: mark
    .default('75%')
    .describe(
      'spawn: memory that one build step may use, in MiB or as a share of the machine’s. A step that needs more is ended.',
    ),
  TARMAC_STEPS_MEMORY: mark
    .default('85%')
    .describe(
      'spawn: memory that all build steps together may use, in MiB or as a share of the machine’s.',
    ),
  TARMAC_STEP_PROCESSES: count
    .default(4096)
    .describe('spawn: processes and threads that one build step may have at once.'),
  TARMAC_STEP_CPUS: z.coerce
    .number()
    .min(0)
    .max(1024)
    .default(0)
    .describe(
      'spawn: CPUs that one build step may use, like 1.5; 0: all of the machine’s. The gateway always comes before build steps.',
    ),
  TARMAC_STEP_LOG_MIB: count
    .default(4)
    .describe('How much output of one build step is kept whole, in MiB.'),
  TARMAC_LOG_MIB: count
    .default(32)
    .describe('How much output of one deployment is kept whole, in MiB.'),
  TARMAC_LOG_TAIL_KIB: count
    .default(64)
    .describe('How much of the end of a step’s output is kept when it is more than that, in KiB.'),
  TARMAC_DISK_LOW: mark
    .default('5%')
    .describe(
      'Free room of the build disk below which nothing new is taken, in MiB or as a share.',
    ),
  TARMAC_DISK_HIGH: mark
    .default('10%')
    .describe('Free room of the build disk above which all is well again, in MiB or as a share.'),
  TARMAC_CONTEXT_PORT: port
    .default(8412)
    .describe(
      'Loopback port on which the build daemon fetches source trees; keep it the same, or caches go cold.',
    ),
  TARMAC_BUILD_BRIDGE: z
    .string()
    .regex(/^[a-zA-Z0-9_-]{0,15}$/, 'must be the name of a bridge')
    .default('tarmac0')
    .describe(
      'Bridge of build steps, around which the gateway applies firewall rules; empty when someone else does. A probe build tries them.',
    ),
  TARMAC_BUILD_DNS: addresses
    .default('1.1.1.1,8.8.8.8')
    .describe('Resolvers of build steps, separated by commas, as in the build daemon’s [dns].'),
  TARMAC_BUILD_ALLOW: ranges
    .default('')
    .describe(
      'Addresses and ranges, separated by commas, that build steps may reach although they are not public: a package mirror of your own.',
    ),
  TARMAC_RAILPACK: z
    .string()
    .default('/usr/local/bin/railpack')
    .describe('The planner, as an absolute path.'),
  TARMAC_PLAN_NETWORK: z
    .enum(['public', 'none'])
    .default('public')
    .describe(
      'What the planner reaches to look up versions: the public network, behind the firewall rules of build steps and with their resolvers, or nothing.',
    ),
  TARMAC_REGISTRY: z
    .string()
    .default('registry.fly.io')
    .describe('Where images go, as host or host:port.'),
  TARMAC_IMAGES: z
    .string()
    .default('docker.io,ghcr.io,quay.io,gcr.io,public.ecr.aws,mcr.microsoft.com,registry.k8s.io')
    .describe(
      'What builds may start from: registries, or repositories and folders of them (`ghcr.io/acme`), separated by commas. An app’s own images are always among it, other apps’ never.',
    ),
  TARMAC_FRONTENDS: z
    .string()
    .default('docker.io/docker/dockerfile')
    .describe(
      'Images that a Dockerfile’s syntax line may ask for. The usual `docker/dockerfile:1` is inside the build daemon and is not fetched.',
    ),
  TARMAC_BASE_REFRESH: z.coerce
    .number()
    .min(0)
    .max(maxDays * 24)
    .default(24)
    .describe(
      'Hours for which the name of a base image goes on standing for the digest that was found for it.',
    ),
  TARMAC_DOCKER_CONFIG: z
    .string()
    .default('')
    .describe(
      'Path of a docker `config.json` with logins for base images, matched by host; `{app}` in it gives each app its own.',
    ),
  TARMAC_REGISTRY_CACHE: z
    .string()
    .regex(
      /^$|\{app\}/,
      'must hold {app}: a cache that apps share would let one change another’s builds',
    )
    .default('')
    .describe(
      'Where the build cache is kept in a registry too, as `host/{app}:cache`; for builders that lose their volume.',
    ),
  TARMAC_FLY_API: z
    .url()
    .default('https://api.machines.dev')
    .describe('Base URL of the Machines API.'),
  TARMAC_FLY_TOKEN: z.string().default('').describe('Token for the Machines API and the registry.'),
  TARMAC_FLY_ORG: z
    .string()
    .default('personal')
    .describe('Organisation in which missing apps are made.'),
  TARMAC_FLY_NETWORK: z
    .string()
    .regex(
      /^([a-zA-Z][a-zA-Z0-9-]*)?$/,
      'must be the name of a network: a letter, then letters, digits and dashes',
    )
    .default('')
    .describe(
      'Private network of the apps that are made, and of their Flycast addresses; the organisation’s default when empty.',
    ),
  TARMAC_FLY_REGION: z
    .string()
    .default('')
    .describe('Region of new machines; the builder’s own (FLY_REGION) when empty.'),
  FLY_REGION: z.string().default('').describe('Set by Fly: where the builder runs.'),
  FLY_MACHINE_ID: z
    .string()
    .default('')
    .describe(
      'Set by Fly: the builder’s machine. New machines bear it as fly_builder_id, by which Fly finds images that its registry does not have everywhere yet.',
    ),
  TARMAC_URL: z
    .string()
    .default('http://{app}.flycast')
    .describe(
      'How the address of a live app is shown; {app} is its name. `https://{app}.fly.dev` for public apps.',
    ),
  TARMAC_OWNER_URL: z
    .string()
    .default('http://{owner}.tarmac_owner.kv._metadata.{app}.internal:{port}')
    .describe(
      'How the address of an owner’s machine is shown, by Fly’s names for machine metadata; {owner}, {app}, and {port}, where the app listens.',
    ),
  TARMAC_PUBLIC_IPS: z
    .enum(['report', 'release'])
    .default('report')
    .describe(
      'What becomes of public addresses that an app has after a deploy: a warning, or also their end.',
    ),
  TARMAC_MAX_UPLOAD_MIB: count.default(2048).describe('Largest archive taken, as sent.'),
  TARMAC_MAX_TREE_MIB: count.default(8192).describe('Largest source tree taken, unpacked.'),
  TARMAC_MIN_UPLOAD_KIB: count
    .default(4)
    .describe(
      'Slowest upload taken, in KiB a second, measured over each 30 s in which the gateway waits for the sender.',
    ),
  TARMAC_UNPACK_TIMEOUT: seconds
    .default(120)
    .describe(
      'How long an archive may take to check and unpack. Time in which the gateway waits for the sender is left out.',
    ),
  TARMAC_KEEP_SOURCES: z.coerce
    .number()
    .int()
    .min(0)
    .default(5)
    .describe('Sources kept for each app, newest first, so that a retry needs no upload.'),
  TARMAC_KEEP_LOGS: count
    .default(500)
    .describe('Logs kept for each app, newest deployments first. Records are kept for ever.'),
  TARMAC_KEEP_LOG_DAYS: z.coerce
    .number()
    .positive()
    .max(maxDays)
    .default(90)
    .describe('Days for which a log is kept after the end.'),
  TARMAC_KEEP_SOURCES_MIB: count
    .default(4096)
    .describe('How much of an app’s sources is kept so, in MiB as unpacked.'),
  TARMAC_KEEP_SOURCES_DAYS: z.coerce
    .number()
    .int()
    .min(0)
    .max(maxDays)
    .default(30)
    .describe('For how many days after its last deployment a source is kept so.'),
  TARMAC_MAX_BUILDS: count
    .default(4)
    .describe(
      'Deployments at once from their source to their image; further ones wait, the apps taking turns.',
    ),
  TARMAC_APP_BUILDS: count
    .default(4)
    .describe(
      'The same of one app (of its owners: each has one at work), unless the app’s settings say otherwise.',
    ),
  TARMAC_MAX_DEPLOYS: count
    .default(16)
    .describe('Deployments at machines at once, above which no further one is taken up.'),
  TARMAC_QUEUE_TIMEOUT: seconds
    .default(86_400)
    .describe('Seconds that a deployment may wait in the queue.'),
  TARMAC_FETCH_TIMEOUT: seconds
    .default(300)
    .describe('Seconds for getting the source ready to be planned.'),
  TARMAC_PLAN_TIMEOUT: seconds.default(300).describe('Seconds for planning.'),
  TARMAC_BUILD_TIMEOUT: seconds.default(2700).describe('Seconds for building and pushing.'),
  TARMAC_DEPLOY_TIMEOUT: seconds
    .default(1800)
    .describe('Seconds for the rollout and its verification.'),
  TARMAC_TOTAL_TIMEOUT: seconds
    .default(7200)
    .describe(
      'Seconds for a deployment in all, from when it was taken up; waiting in the queue does not count.',
    ),
  TARMAC_MACHINE_TIMEOUT: seconds
    .default(300)
    .describe('Seconds for one machine to start and pass its checks.'),
  TARMAC_WATCH: pause
    .default(10)
    .describe('Seconds that new machines are watched for crashes before a deployment is live.'),
  TARMAC_PROXY_PAUSE: pause
    .default(10)
    .describe(
      'Seconds that Fly’s proxy is given to notice, before blue machines are cordoned and before they are stopped.',
    ),
  TARMAC_AWAY_TIMEOUT: seconds
    .default(60)
    .describe(
      'Seconds to go on trying while the build daemon, the registry or Fly does not answer.',
    ),
  TARMAC_DRAIN: pause
    .default(30)
    .describe('Seconds that running work may take to end when the gateway is stopped.'),
  TARMAC_MAX_DEATHS: count
    .default(3)
    .describe(
      'Deaths of the gateway with a deployment alone at work, after which that deployment ends (`gateway-died`).',
    ),
  TARMAC_BOOT_ID_FILE: z
    .string()
    .default('/proc/sys/kernel/random/boot_id')
    .describe('For tests of Tarmac alone: where the id of this boot of the machine is read.'),
  TARMAC_CRASH_FILE: z
    .string()
    .default('')
    .describe('For tests of Tarmac alone: a file that orders the gateway to die at a named point.'),
})
