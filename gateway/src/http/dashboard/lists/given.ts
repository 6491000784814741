/** What a filter's form says: an empty field of it is no filter. */
export const given = (query: URLSearchParams): URLSearchParams =>
  new URLSearchParams([...query].filter(([, value]) => value !== ''))
