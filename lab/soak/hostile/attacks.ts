import type { Lab } from '../../start-lab.ts'
import type { Random } from '../random.ts'
import type { Outcome } from './answers.ts'
import { httpAttacks } from './http-attacks.ts'
import { sourceAttacks } from './source-attacks.ts'
import { stepAttacks } from './step-attacks.ts'

/** The attacked gateway, and deployments that it knows. */
export type Target = Pick<Lab, 'gateway' | 'token'> & { deployments: string[] }
export type Attack = (on: { lab: Target; random: Random }) => Promise<Outcome>

/** How many attacks of a kind run at once. A build step takes a build slot. */
export const kinds: { name: string; attacks: Record<string, Attack>; atOnce: number }[] = [
  { name: 'connections', attacks: httpAttacks, atOnce: 4 },
  { name: 'sources', attacks: sourceAttacks, atOnce: 1 },
  { name: 'steps', attacks: stepAttacks, atOnce: 1 },
]
