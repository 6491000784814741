import type { Lab } from '../../start-lab.ts'
import type { Random } from '../random.ts'
import type { Outcome } from './answers.ts'

/** The attacked gateway, and deployments that it knows. */
export type Target = Pick<Lab, 'gateway' | 'token'> & { deployments: string[] }

export type Attack = (on: { lab: Target; random: Random }) => Promise<Outcome>
