/**
 * Whose fault a failure is: the source's (its author can fix it), the gateway's (its operator can), or Fly's.
 */
export type Fault = 'source' | 'gateway' | 'fly'

export type Row = { status: number; title: string; fault: Fault; retry: boolean }

export const row = (status: number, fault: Fault, retry: boolean, title: string): Row => ({
  status,
  title,
  fault,
  retry,
})

/**
 * All problems. `status` is the HTTP status, also of a `wait=true` response. `retry` says whether
 * the same request may succeed later. `exit-codes.ts` has the client's exit code for each.
 */
export const problems = {
  unauthorized: row(401, 'source', false, 'A valid token is needed'),
  forbidden: row(403, 'source', false, 'The caller lacks the right'),
  'route-not-found': row(404, 'source', false, 'There is nothing at this address'),
  'method-not-allowed': row(405, 'source', false, 'This address does not accept this method'),
  'deployment-not-found': row(404, 'source', false, 'There is no such deployment'),
  'app-name-invalid': row(422, 'source', false, 'The app name is not valid'),
  'option-unknown': row(422, 'source', false, 'An option is not known'),
  'option-invalid': row(422, 'source', false, 'An option has an invalid value'),
  'secret-invalid': row(422, 'source', false, 'A secret is not valid'),
  'secret-not-found': row(404, 'source', false, 'There is no such secret'),
  'secrets-unavailable': row(503, 'gateway', false, 'The gateway cannot decrypt secrets'),
  'request-invalid': row(400, 'source', false, 'The request could not be read'),
  'headers-too-large': row(
    431,
    'source',
    false,
    'The address and headers of the request are too large',
  ),
  'form-invalid': row(400, 'source', false, 'The form could not be read'),
  'body-truncated': row(400, 'source', true, 'The body ends too early'),
  'body-too-slow': row(408, 'source', true, 'The body took too long'),
  'host-forbidden': row(
    403,
    'source',
    false,
    'Without tokens the gateway answers only to loopback hosts',
  ),
  'websocket-invalid': row(426, 'source', false, 'The WebSocket handshake is not valid'),

  'archive-unsupported': row(
    415,
    'source',
    false,
    'The body is not a tar, tar.gz or tar.zst archive',
  ),
  'archive-empty': row(400, 'source', false, 'The archive holds no files'),
  'archive-truncated': row(400, 'source', true, 'The archive ends too early'),
  'archive-corrupt': row(400, 'source', false, 'The archive is damaged'),
  'archive-ambiguous': row(
    400,
    'source',
    false,
    'Two readers would unpack the archive differently',
  ),
  'archive-trailing-data': row(400, 'source', false, 'The archive has data after its end'),
  'archive-too-large': row(413, 'source', false, 'The archive is larger than the gateway accepts'),
  'archive-ratio': row(422, 'source', false, 'The archive expands too much'),
  'archive-too-many-entries': row(413, 'source', false, 'The archive holds too many entries'),
  'archive-path-escape': row(422, 'source', false, 'An entry leaves the source tree'),
  'archive-path-absolute': row(422, 'source', false, 'An entry has an absolute path'),
  'archive-path-too-long': row(422, 'source', false, 'An entry has too long or too deep a path'),
  'archive-name-invalid': row(422, 'source', false, 'An entry has a name that is not allowed'),
  'archive-duplicate-path': row(
    422,
    'source',
    false,
    'Two entries of one path are of different kinds',
  ),
  'archive-link-escape': row(422, 'source', false, 'An entry would be written through a link'),
  'archive-hardlink-invalid': row(
    422,
    'source',
    false,
    'A hard link does not name an earlier file or link',
  ),
  'archive-type-forbidden': row(422, 'source', false, 'An entry is neither file, folder nor link'),
  'source-unreadable': row(422, 'source', false, 'A part of the source cannot be read'),
  'source-file-too-large': row(
    422,
    'source',
    false,
    'A file of the source is larger than the gateway reads',
  ),
  'digest-mismatch': row(400, 'source', true, 'The body is not what its digest says'),
  'digest-unsupported': row(400, 'source', false, 'The gateway does not know this kind of digest'),
  'upload-stalled': row(408, 'source', true, 'The upload stopped'),
  'no-space': row(507, 'gateway', true, 'The disk of the gateway is full'),

  'no-builder-found': row(422, 'source', false, 'No builder for this source was found'),
  'plan-failed': row(422, 'source', false, 'The source could not be planned'),
  'plan-invalid': row(
    422,
    'source',
    false,
    'The build plan holds something that the gateway does not know',
  ),
  'plan-limit': row(422, 'source', false, 'Planning went over a limit'),
  'plan-interrupted': row(503, 'gateway', true, 'The planner was interrupted'),
  'planner-missing': row(503, 'gateway', false, 'The gateway has no planner'),

  'ignore-limit': row(422, 'source', false, 'The ignore patterns go over a limit'),
  'build-failed': row(422, 'source', false, 'The build failed'),
  'image-not-found': row(422, 'source', false, 'An image that the build starts from was not found'),
  'image-forbidden': row(
    422,
    'source',
    false,
    'The build starts from something that is not allowed here',
  ),
  'image-unusable': row(422, 'source', false, 'An image cannot run on a machine'),
  'platform-unsupported': row(422, 'source', false, 'The gateway cannot build for a platform'),
  'source-changed': row(503, 'gateway', true, 'The source tree changed during the build'),
  'buildkit-unavailable': row(503, 'gateway', true, 'The build daemon does not answer'),
  'registry-unavailable': row(503, 'fly', true, 'The registry does not answer'),
  'registry-denied': row(503, 'gateway', false, 'The registry refused the gateway'),

  'fly-config-invalid': row(422, 'source', false, 'fly.toml could not be used'),
  'strategy-not-applicable': row(
    422,
    'source',
    false,
    'The app cannot be deployed by this strategy',
  ),
  'fly-unavailable': row(503, 'fly', true, 'Fly does not answer'),
  'fly-denied': row(503, 'gateway', false, 'Fly refused the gateway'),
  'fly-refused': row(502, 'fly', false, 'Fly refused the request'),
  'builder-failed': row(502, 'gateway', false, 'The builder could not be made or repaired'),
  'app-name-taken': row(422, 'source', false, 'The app name is taken'),
  'machine-not-found': row(404, 'source', false, 'There is no such machine'),
  'machine-leased': row(503, 'gateway', true, 'Another program holds the lease of a machine'),
  'deploy-failed': row(502, 'source', false, 'The new version did not become live'),
  'record-outdated': row(
    409,
    'gateway',
    false,
    'The gateway’s record is older than what the app runs',
  ),
  'rollback-failed': row(502, 'fly', false, 'The deploy failed and could not be rolled back'),

  'record-too-large': row(
    422,
    'source',
    false,
    'Something is larger than the gateway keeps in its records',
  ),
  'log-dropped': row(410, 'source', false, 'The log is no longer kept'),
  'app-not-found': row(404, 'source', false, 'There is no such app on Fly'),
  'app-not-managed': row(409, 'source', false, 'The app was not created by this gateway'),
  'app-busy': row(409, 'source', true, 'A deployment of the app is running'),
  'release-not-found': row(404, 'source', false, 'There is no such release'),
  'rollout-not-found': row(404, 'source', false, 'There is no such rollout'),
  'rollout-stopped': row(409, 'source', false, 'The rollout stopped after failures'),
  'image-gone': row(410, 'source', false, 'The image is no longer in the registry'),
  'source-gone': row(410, 'source', false, 'The source is no longer kept'),
  'no-image': row(409, 'source', false, 'There is no image to deploy again'),
  'idempotency-mismatch': row(
    422,
    'source',
    false,
    'The idempotency key was used for something else',
  ),
  'lane-busy': row(409, 'source', true, 'Another deployment of the target is not finished'),
  'queue-full': row(503, 'gateway', true, 'The gateway’s queue is full'),
  'cancel-too-late': row(
    409,
    'source',
    false,
    'The deploy has changed machines; it cannot be cancelled without a rollback',
  ),
  cancelled: row(409, 'source', false, 'The deployment was cancelled'),
  superseded: row(409, 'source', false, 'A newer deployment superseded this one'),
  'time-limit': row(504, 'source', true, 'A time limit was reached'),
  stopping: row(503, 'gateway', true, 'The gateway is stopping'),
  'gateway-died': row(
    500,
    'gateway',
    false,
    'The gateway died repeatedly while it ran this deployment',
  ),
  'volume-locked': row(503, 'gateway', true, 'Another gateway has the volume'),
  'database-unusable': row(503, 'gateway', false, 'The records cannot be opened'),
  'version-too-old': row(503, 'gateway', false, 'A part of the builder is too old to be safe'),
  draining: row(503, 'gateway', true, 'The gateway takes no new work: it is about to be replaced'),
  'not-drained': row(409, 'source', true, 'The gateway is not drained'),
  'records-newer': row(409, 'source', false, 'The gateway holds newer records than the backup'),
  'backup-invalid': row(422, 'source', false, 'The file is no backup that the gateway can take'),
  'not-ready': row(503, 'gateway', true, 'The gateway is not ready'),
  internal: row(500, 'gateway', false, 'Something went wrong inside the gateway'),
} as const satisfies Record<string, Row>

export type ProblemCode = keyof typeof problems

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the table is `as const`: it has exactly these keys
export const problemCodes = Object.keys(problems) as ProblemCode[]
