import { z } from 'zod'
import { PowerAction } from '../machines/machine-facts.ts'
import { variableLimits } from '../options/variables.ts'

/** What `POST /v1/previews/{id}/{action}` does. */
export const PreviewAction = PowerAction
export type PreviewAction = PowerAction

/**
 * Limits of a command in a preview. `outputChars`: of standard output, and of standard error; more is
 * left out.
 */
export const execLimits = {
  seconds: 300,
  args: 100,
  argsChars: variableLimits.allChars,
  outputChars: 1024 * 1024,
}

/** The body of `POST /v1/previews/{id}/exec`. No shell reads `command`. */
export const ExecRequest = z.strictObject({
  command: z
    .array(z.string().regex(/^[^\0]*$/, 'an argument holds no NUL character'))
    .min(1, 'a program and its arguments, such as ["ls", "-l"]')
    .max(execLimits.args, `at most ${execLimits.args} arguments`)
    .refine(
      (args) => args.reduce((sum, arg) => sum + arg.length, 0) <= execLimits.argsChars,
      `at most ${execLimits.argsChars / 1024} Ki characters in all`,
    ),
  timeoutSeconds: z
    .int()
    .min(1)
    .max(execLimits.seconds, `a command has at most ${execLimits.seconds} s`)
    .default(60),
})
export type ExecRequest = z.infer<typeof ExecRequest>

/** `signal`: the number of the signal that ended it. `truncated`: where output was left out. */
export const ExecAnswer = z.object({
  machine: z.string(),
  exitCode: z.number(),
  signal: z.number().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.array(z.enum(['stdout', 'stderr'])),
})
export type ExecAnswer = z.infer<typeof ExecAnswer>

/** `GET /v1/previews/{id}/logs`: what its programs printed last. `at`: ISO 8601, if Fly says it. */
export const PreviewLogs = z.object({
  lines: z.array(z.object({ machine: z.string(), at: z.string().nullable(), text: z.string() })),
})
export type PreviewLogs = z.infer<typeof PreviewLogs>
