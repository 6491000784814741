import type { Fault } from './codes.ts'

/** Who can fix a failure, for people. */
export const faultTexts: Record<Fault, string> = {
  source: 'The sender can fix it: in the source, the options or the request.',
  gateway: 'The operator of the gateway can fix it.',
  fly: 'Fly or the registry failed. Neither the sender nor the operator did anything wrong.',
}
