/**
 * Whose fault a failure is: the source's (its author can fix it), the gateway's (its operator can), or Fly's.
 */
export type Fault = 'source' | 'gateway' | 'fly'

export type Row = { status: number; title: string; fault: Fault; retry: boolean }

export const row = (status: number, fault: Fault, retry: boolean, title: string): Row => ({
  status,
  title,
  fault,
  retry,
})
