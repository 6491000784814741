import type { Admission } from '../../callers/admission.ts'
import { uploadGone, type Uploads } from '../../sources/uploads/uploads.ts'
import { ownUpload, uploaderOf } from './own-upload.ts'
import type { UploadCommands } from './upload-commands.ts'

export type UploadDeps = {
  uploads: Pick<Uploads, 'create' | 'find' | 'settle' | 'append' | 'remove'>
  admission: Pick<Admission, 'assertUpload' | 'teamFor'>
}

/** See `UploadCommands`. */
export function openUploads({ uploads, admission }: UploadDeps): UploadCommands {
  return {
    async create(caller, asked) {
      admission.assertUpload(caller, asked.lengthBytes)
      const team = admission.teamFor(caller)
      return uploads.create({ ...asked, uploader: uploaderOf(caller), team })
    },
    async find(caller, id) {
      ownUpload(uploads, caller, id)
      const settled = await uploads.settle(id)
      if (!settled) throw uploadGone(id)
      return settled
    },
    async append(caller, id, part) {
      ownUpload(uploads, caller, id)
      return uploads.append(id, part)
    },
    async remove(caller, id) {
      ownUpload(uploads, caller, id)
      await uploads.remove(id)
    },
  }
}
