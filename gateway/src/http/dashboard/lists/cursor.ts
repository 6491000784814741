import { pageQuery } from '../../query.ts'

/** Which page of a list the address names. `pattern`: of its cursors. Throws `option-invalid`. */
export const cursorOf = (query: URLSearchParams, pattern?: RegExp): string | null =>
  pageQuery(query, pattern).before
