// `npm run bench -- NAME [options]`: our speed, compared with the same work by hand. The last line is the
// result, as JSON.

/** `ratio` is our time to the other way's, so less is better. Further facts are beside it. */
export type Measure = {
  bench: string
  ratio: number
  goal: number
  ok: boolean
  [fact: string]: unknown
}
