import type { Attack } from './attack.ts'
import { httpAttacks } from './http-attacks.ts'
import { sourceAttacks } from './source-attacks.ts'
import { stepAttacks } from './step-attacks.ts'

/** How many attacks of a kind run at once. A build step takes a build slot. */
export const kinds: { name: string; attacks: Record<string, Attack>; atOnce: number }[] = [
  { name: 'connections', attacks: httpAttacks, atOnce: 4 },
  { name: 'sources', attacks: sourceAttacks, atOnce: 1 },
  { name: 'steps', attacks: stepAttacks, atOnce: 1 },
]
