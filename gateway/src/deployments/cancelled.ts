import type { CancelWish } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'

/** The end that somebody asked for, in words. */
export const cancelled = ({ by, why }: Pick<CancelWish, 'by' | 'why'>): Problem =>
  new Problem('cancelled', `Cancelled ${by ? `by ${by}` : 'on request'}${why ? `: ${why}` : ''}.`)
