/** How a deployment replaces machines. */
export const strategies = ['rolling', 'canary', 'bluegreen', 'immediate'] as const
export type Strategy = (typeof strategies)[number]
