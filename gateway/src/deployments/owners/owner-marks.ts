import { createHash } from 'node:crypto'

/** The length of a mark. */
export const markChars = 13

/** The end of the names of an owner's volumes, by which no other owner's machine gets them. */
export const volumeMark = (owner: string): string =>
  `_o${createHash('sha256')
    .update(owner)
    .digest('hex')
    .slice(0, markChars - 2)}`

type Metadata = Record<string, string> | null | undefined

/**
 * The owner whose lasting machine has this metadata. Null: nobody's, or a machine for one command, such
 * as a release command.
 */
export function ownerIn(metadata: Metadata): string | null {
  const {
    tarmac_owner: owner,
    fly_platform_version: version,
    fly_process_group: group,
  } = metadata ?? {}
  return owner && version === 'v2' && !group?.startsWith('fly_app_') ? owner : null
}
