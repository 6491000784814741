import { Problem } from '#api/problem.ts'
import type { KeptUpload } from '#api/sources/upload.ts'
import type { Principal } from '../../callers/principal.ts'
import { uploadGone, type Uploads } from '../../sources/uploads/uploads.ts'

/**
 * Whose an upload is. A token keeps its id when it gets a new secret, and another token of the same
 * name has another.
 */
export const uploaderOf = ({ tokenId, name }: Principal): string => tokenId ?? name

/** An upload of this caller. Throws `upload-not-found`. */
export function ownUpload(
  uploads: Pick<Uploads, 'find'>,
  caller: Principal,
  id: string,
): KeptUpload {
  const found = uploads.find(id)
  if (found?.uploader !== uploaderOf(caller)) throw uploadGone(id)
  return found
}

/**
 * An upload of this caller for this app, with all its bytes. Throws `upload-not-found`,
 * `upload-unfinished`, or `option-invalid` if it is for another app.
 */
export function finishedUpload(
  uploads: Pick<Uploads, 'find'>,
  caller: Principal,
  { app, id }: { app: string; id: string },
): KeptUpload {
  const upload = ownUpload(uploads, caller, id)
  if (upload.app !== app)
    throw new Problem(
      'option-invalid',
      `The upload ${id} was made for ${upload.app}, and cannot be used for ${app}. Make one with app ${app} in its Upload-Metadata.`,
    )

  const { offsetBytes: offset, lengthBytes: length } = upload
  if (offset < length)
    throw new Problem(
      'upload-unfinished',
      `The upload ${id} has ${offset} of ${length} bytes. Send the rest first (PATCH /v1/uploads/${id}).`,
      { facts: { offset, length } },
    )
  return upload
}
