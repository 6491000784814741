import { row } from './row.ts'

/** Problems of resumable uploads. */
export const uploadProblems = {
  'upload-not-found': row(404, 'source', false, 'There is no such upload'),
  'upload-unfinished': row(409, 'source', true, 'The upload is not complete'),
  'upload-conflict': row(409, 'source', true, 'The upload is at another offset'),
  'upload-too-long': row(413, 'source', false, 'The request has more bytes than the upload lacks'),
  'upload-checksum-mismatch': row(
    460,
    'source',
    true,
    'The bytes of the request are not what their checksum says',
  ),
  'upload-limit': row(429, 'source', true, 'The caller has as many uploads as it may have'),
  'too-many-uploads': row(429, 'gateway', true, 'Too many uploads arrive at once'),
  'tus-version-unsupported': row(412, 'source', false, 'The gateway speaks tus 1.0.0'),
  'media-type-unsupported': row(415, 'source', false, 'This call takes another Content-Type'),
} as const
