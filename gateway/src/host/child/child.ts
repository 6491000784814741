export type Child = {
  /** Absolute path: there is no PATH lookup and no shell. */
  command: string
  args: string[]
  /** The whole environment: nothing of the gateway's is inherited. */
  env: Record<string, string>
  cwd: string
  timeoutMs: number
  /** Limit for stdout and stderr together. A child that writes more is killed. */
  maxOutputBytes: number
  /** Size limits in bytes of further outputs, file descriptor 3 and up. */
  outputs?: number[]
  /** Standard input; nothing by default. */
  input?: string
}

export type ChildResult = {
  exitCode: number | null
  /** The signal that ended it, also when the gateway sent it. */
  killedBy: string | null
  stdout: string
  stderr: string
  outputs: string[]
  truncated: boolean
  timedOut: boolean
}
