/** The ignore rules of a source, as they apply to the entries of one folder. */
export interface FolderRules {
  /** Why an entry is left out, as in "by .gitignore". Null: it is sent. */
  leftOut(path: string, isFolder: boolean): string | null
  /** Whether something inside this excluded folder may be sent all the same. */
  mayHoldMore(path: string): boolean
  /** The rules inside a subfolder. */
  enter(path: string): FolderRules | Promise<FolderRules>
}

/** Leaves out nothing. */
export const noRules: FolderRules = {
  leftOut: () => null,
  mayHoldMore: () => false,
  enter: () => noRules,
}

/** The same rules, except that these files and folders are sent, with everything inside them. */
export function withIncluded(rules: FolderRules, included: readonly string[]): FolderRules {
  if (included.length === 0) return rules
  return {
    leftOut: (path, isFolder) =>
      included.some((each) => path === each || path.startsWith(`${each}/`))
        ? null
        : rules.leftOut(path, isFolder),
    mayHoldMore: (path) =>
      included.some((each) => each.startsWith(`${path}/`)) || rules.mayHoldMore(path),
    enter: async (path) => withIncluded(await rules.enter(path), included),
  }
}
