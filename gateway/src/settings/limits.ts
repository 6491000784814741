import { z } from 'zod'
import {
  amount,
  count,
  countOrAuto,
  countOrNone,
  days,
  hoursAsMs,
  kibibytes,
  maxDays,
  mebibytes,
  pauseMs,
  seconds,
  secondsAsMs,
  whole,
} from './kinds.ts'
import { parallelismRule } from './machine-size.ts'
import { setting } from './setting.ts'

export const limits = {
  source: z.object({
    uploadBytes: setting('TARMAC_MAX_UPLOAD_MIB', mebibytes, 2048).describe(
      'Largest archive that the gateway accepts, in MiB as sent.',
    ),
    expandedBytes: setting('TARMAC_MAX_TREE_MIB', mebibytes, 8192).describe(
      'Largest source tree that the gateway accepts, in MiB when unpacked.',
    ),
    entries: setting('TARMAC_MAX_ENTRIES', count, 250_000).describe(
      'Files, folders and links that an archive or a list of files may have.',
    ),
    depth: setting('TARMAC_MAX_DEPTH', whole({ min: 1, max: 64 }), 64).describe(
      'Folders in folders that a source may have, with the name in the last one.',
    ),
    pathBytes: setting('TARMAC_MAX_PATH', whole({ min: 1, max: 3072 }), 1024).describe(
      'Longest path in a source, in bytes.',
    ),
    nameBytes: setting('TARMAC_MAX_NAME', whole({ min: 1, max: 255 }), 255).describe(
      'Longest name of a file or folder in a source, in bytes.',
    ),
    ratio: setting('TARMAC_MAX_RATIO', count, 200).describe(
      'How many times as large as it was sent an archive may become, from 16 MiB unpacked on.',
    ),
    idleMs: setting('TARMAC_UPLOAD_SILENCE', secondsAsMs, 30).describe(
      'Seconds for which the sender of an upload may send nothing.',
    ),
    receiveMs: setting('TARMAC_UPLOAD_TIMEOUT', secondsAsMs, 21_600).describe(
      'Seconds for one request with an upload, however steadily its bytes come.',
    ),
    minBytesPerS: setting('TARMAC_MIN_UPLOAD_KIB', kibibytes, 4).describe(
      'Slowest upload that the gateway accepts, in KiB per second, measured over each 30 s in which it waits for the sender.',
    ),
    unpackMs: setting('TARMAC_UNPACK_TIMEOUT', secondsAsMs, 120).describe(
      'Seconds for checking and unpacking an archive. Time in which the gateway waits for the sender does not count.',
    ),
    spoolSpace: setting('TARMAC_SPOOL_SPACE', amount, '75%').describe(
      'What all sources that are being unpacked may take of the volume together: in MiB, or as a share.',
    ),
  }),
  uploads: z.object({
    keepMs: setting('TARMAC_KEEP_UPLOADS_HOURS', hoursAsMs, 24).describe(
      'Hours for which a resumable upload is kept after its last byte.',
    ),
    atOnce: setting('TARMAC_MAX_UPLOADS', count, 256).describe(
      'Uploads that may arrive at once, of all callers.',
    ),
    perCaller: setting('TARMAC_CALLER_UPLOADS', count, 64).describe(
      'Uploads of one caller that may arrive at once, and the resumable ones that it may have. A resumable one ends when it is deployed or deleted, or expires.',
    ),
    space: setting('TARMAC_UPLOADS_SPACE', amount, '50%').describe(
      'What all resumable uploads together may take of the volume, as announced: in MiB, or as a share.',
    ),
  }),
  keep: z.object({
    keepSources: setting('TARMAC_KEEP_SOURCES', countOrNone, 5).describe(
      'Sources that are kept per app, newest first, so that a retry needs no upload.',
    ),
    keepSourcesMib: setting('TARMAC_KEEP_SOURCES_MIB', count, 4096).describe(
      'Total size of the sources that are kept per app, in MiB when unpacked.',
    ),
    keepSourcesDays: setting(
      'TARMAC_KEEP_SOURCES_DAYS',
      whole({ min: 0, max: maxDays }),
      30,
    ).describe('Days for which a source is kept after its last deployment.'),
  }),
  keepLogs: z.object({
    perApp: setting('TARMAC_KEEP_LOGS', count, 500).describe(
      'Logs that are kept per app, newest deployments first. Records are kept forever.',
    ),
    days: setting('TARMAC_KEEP_LOG_DAYS', days, 90).describe(
      'Days for which a log is kept after its deployment ended.',
    ),
  }),
  keepAuditDays: setting('TARMAC_KEEP_AUDIT_DAYS', days, 365).describe(
    'Days for which the audit trail keeps an entry. The oldest are removed first. See callers.md.',
  ),
  limits: z.object({
    builds: setting('TARMAC_MAX_BUILDS', countOrAuto, 'auto').describe(
      `Deployments at once between their source and their image. Others wait, and the apps take turns. \`auto\`: ${parallelismRule}.`,
    ),
    appBuilds: setting('TARMAC_APP_BUILDS', countOrAuto, 'auto').describe(
      'The same for one app, unless the app’s settings differ. Each owner has at most one. `auto`: as TARMAC_MAX_BUILDS.',
    ),
    deploys: setting('TARMAC_MAX_DEPLOYS', count, 16).describe(
      'Deployments at once that change machines. At this number, no further one starts.',
    ),
    queueMs: setting('TARMAC_QUEUE_TIMEOUT', secondsAsMs, 86_400).describe(
      'Seconds that a deployment may wait in the queue.',
    ),
    unavailableMs: setting('TARMAC_AWAY_TIMEOUT', secondsAsMs, 60).describe(
      'Seconds for which the gateway retries while the build daemon, the registry or Fly is unavailable.',
    ),
    drainMs: setting('TARMAC_DRAIN', pauseMs, 30).describe(
      'Seconds that running work gets to end when the gateway is stopped.',
    ),
    deaths: setting('TARMAC_MAX_DEATHS', count, 3).describe(
      'Deaths of the gateway while one deployment ran alone, after which that deployment ends as `gateway-died`.',
    ),
    log: z.object({
      stepBytes: setting('TARMAC_STEP_LOG_MIB', mebibytes, 4).describe(
        'How much output of one build step is kept in full, in MiB.',
      ),
      allBytes: setting('TARMAC_LOG_MIB', mebibytes, 32).describe(
        'How much output of one deployment is kept in full, in MiB.',
      ),
      tailBytes: setting('TARMAC_LOG_TAIL_KIB', kibibytes, 64).describe(
        'How much of the end of a step’s output is kept beyond that, in KiB.',
      ),
    }),
  }),
  /** Default time limits of an app. An app's settings may override each. */
  appTimes: z.object({
    fetchSeconds: setting('TARMAC_FETCH_TIMEOUT', seconds, 300).describe(
      'Seconds for preparing the source for the planner.',
    ),
    planSeconds: setting('TARMAC_PLAN_TIMEOUT', seconds, 300).describe('Seconds for planning.'),
    buildSeconds: setting('TARMAC_BUILD_TIMEOUT', seconds, 2700).describe(
      'Seconds for building and pushing.',
    ),
    deploySeconds: setting('TARMAC_DEPLOY_TIMEOUT', seconds, 1800).describe(
      'Seconds for changing the machines, and again for verifying them.',
    ),
    totalSeconds: setting('TARMAC_TOTAL_TIMEOUT', seconds, 7200).describe(
      'Seconds for a whole deployment. Waiting in the queue does not count.',
    ),
  }),
}
