/** The options of `tarmac deploy` and `tarmac preview` about the folder. */
export const folderFlags = {
  include: { type: 'string', multiple: true },
  'no-ignore': { type: 'boolean', default: false },
  root: { type: 'string' },
  compress: { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
} as const
