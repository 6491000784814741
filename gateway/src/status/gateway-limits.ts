import type { GatewayLimit } from '#api/callers/limits.ts'
import { maxSecretBytes } from '#api/secret.ts'
import type { Config } from '../config.ts'
import { queueLimits, sizeLimits } from '../deployments/size-limits.ts'
import { defaultLimits } from '../sources/limits.ts'

type Limited = Pick<Config, 'source' | 'uploads' | 'limits' | 'appTimes'>
type Value = [name: string, value: number, setting?: string]

/** The limits that hold for every caller, from the constants and settings that the code works with. */
export function gatewayLimits({ source, uploads, limits, appTimes }: Limited): GatewayLimit[] {
  const archive = { ...defaultLimits, ...source }
  const { app, all } = queueLimits
  return [
    ...inUnit('bytes', [
      ['archive as sent', archive.uploadBytes, 'TARMAC_MAX_UPLOAD_MIB'],
      ['archive unpacked', archive.expandedBytes, 'TARMAC_MAX_TREE_MIB'],
      ['path of an entry', archive.pathBytes, 'TARMAC_MAX_PATH'],
      ['name of an entry', archive.nameBytes, 'TARMAC_MAX_NAME'],
      ['build secret', maxSecretBytes],
      ['options of a deployment', sizeLimits.optionsBytes],
      ['log of a build step', limits.log.stepBytes, 'TARMAC_STEP_LOG_MIB'],
      ['log of a deployment', limits.log.allBytes, 'TARMAC_LOG_MIB'],
    ]),
    ...inUnit('entries', [['archive', archive.entries, 'TARMAC_MAX_ENTRIES']]),
    ...inUnit('folders', [['depth of an archive', archive.depth, 'TARMAC_MAX_DEPTH']]),
    ...inUnit('times', [['unpacked size to sent size', archive.ratio, 'TARMAC_MAX_RATIO']]),
    ...inUnit('uploads', [
      ['arriving at once', uploads.atOnce, 'TARMAC_MAX_UPLOADS'],
      ['arriving at once, of a caller', uploads.perCaller, 'TARMAC_CALLER_UPLOADS'],
      ['resumable, of a caller', uploads.perCaller, 'TARMAC_CALLER_UPLOADS'],
    ]),
    ...inUnit('bytes per second', [
      ['slowest upload', archive.minBytesPerS, 'TARMAC_MIN_UPLOAD_KIB'],
    ]),
    ...inUnit('seconds', [
      ['keeping a resumable upload', uploads.keepMs / 1000, 'TARMAC_KEEP_UPLOADS_HOURS'],
      ['silence of an upload', archive.idleMs / 1000, 'TARMAC_UPLOAD_SILENCE'],
      ['one request with an upload', archive.receiveMs / 1000, 'TARMAC_UPLOAD_TIMEOUT'],
      ['unpacking', archive.unpackMs / 1000, 'TARMAC_UNPACK_TIMEOUT'],
      ['waiting in the queue', limits.queueMs / 1000, 'TARMAC_QUEUE_TIMEOUT'],
      ['preparing the source', appTimes.fetchSeconds, 'TARMAC_FETCH_TIMEOUT'],
      ['planning', appTimes.planSeconds, 'TARMAC_PLAN_TIMEOUT'],
      ['building and pushing', appTimes.buildSeconds, 'TARMAC_BUILD_TIMEOUT'],
      ['changing machines', appTimes.deploySeconds, 'TARMAC_DEPLOY_TIMEOUT'],
      ['whole deployment', appTimes.totalSeconds, 'TARMAC_TOTAL_TIMEOUT'],
    ]),
    ...inUnit('deployments', [
      ['building at once', limits.builds, 'TARMAC_MAX_BUILDS'],
      ['building at once, of an app', limits.appBuilds, 'TARMAC_APP_BUILDS'],
      ['changing machines at once', limits.deploys, 'TARMAC_MAX_DEPLOYS'],
      ['not ended, of an app', app.count],
      ['not ended', all.count],
    ]),
  ]
}

const inUnit = (unit: string, values: Value[]): GatewayLimit[] =>
  values.map(([name, value, setting = null]) => ({ name, value, unit, setting }))
