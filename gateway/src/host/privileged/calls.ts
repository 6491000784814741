import { z } from 'zod'

/**
 * What the gateway may ask of the privileged process. None of it names a program, a file to write
 * or a firewall rule: those come from the settings, which both processes read.
 */
export type Call<Argument, Answer> = {
  name: string
  argument: z.ZodType<Argument>
  answer: z.ZodType<Answer>
}

const call = <Argument, Answer>(
  name: string,
  argument: z.ZodType<Argument>,
  answer: z.ZodType<Answer>,
): Call<Argument, Answer> => ({ name, argument, answer })

const texts = z.record(z.string(), z.string())

export const calls = {
  /** Waits until the build daemon answers. The answer is its address. */
  daemon: call('daemon', z.null(), z.string()),
  restartDaemon: call('restart-daemon', z.null(), z.null()),
  stopLargestStep: call(
    'stop-largest-step',
    z.enum(['bytes', 'files']),
    z
      .object({ pid: z.number(), command: z.string(), bytes: z.number(), files: z.number() })
      .nullable(),
  ),
  /** Applies the rules around build steps. */
  firewall: call('firewall', z.null(), z.object({ stepsApart: z.boolean() })),
  /** The planner's network. */
  lookups: call('lookups', z.null(), z.object({ namespace: z.string(), readOnlyMounts: texts })),
  /** Runs the planner in its sandbox. */
  sandbox: call(
    'sandbox',
    z.object({
      command: z.string(),
      args: z.array(z.string()),
      env: texts,
      readOnlyMounts: texts,
      folders: z.array(z.string()),
      results: z.array(z.string()),
      network: z.string().nullable(),
      limits: z.object({
        timeoutMs: z.number(),
        cpuS: z.number(),
        memoryBytes: z.number(),
        processes: z.number(),
        maxOutputBytes: z.number(),
        maxResultBytes: z.number(),
        tmpBytes: z.number(),
      }),
    }),
    z.object({
      exitCode: z.number().nullable(),
      killedBy: z.string().nullable(),
      stdout: z.string(),
      stderr: z.string(),
      results: z.array(z.string()),
      limitExceeded: z.string().nullable(),
    }),
  ),
  sandboxKind: call('sandbox-kind', z.null(), z.string()),
}
