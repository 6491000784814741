import { z } from 'zod'

/** Part of every error about a secret's name. */
export const secretNameRule =
  'A secret’s name is 1 to 128 letters, digits, _, - and ., beginning with a letter or _. Settings of the planner (RAILPACK_…) are no secrets: send them as build.NAME.'

/** A variable name in build steps, or (with - and .) the id of a `--mount=type=secret`. */
export const SecretName = z.string().regex(/^(?!RAILPACK_)[A-Za-z_][\w.-]{0,127}$/, secretNameRule)

/** Explains how to give a secret to a build. */
export const secretHint = (name: string) =>
  `Keep it with the app: tarmac secrets set APP --build ${name} (PUT /v1/apps/{app}/secrets/${name}). Or send it with the source: --secret ${name} (form field secret.${name}).`

export const maxSecretBytes = 64 * 1024

/** All that the gateway ever shows of a secret. Times are ISO 8601, UTC. */
export const SecretFacts = z.object({
  name: z.string(),
  createdAt: z.string(),
  updatedAt: z.string(),
})
export type SecretFacts = z.infer<typeof SecretFacts>
