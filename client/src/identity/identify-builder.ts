import { errorMessage } from '#api/error-code.ts'
import type { Builder } from '../builder/find-builder.ts'
import { audOf, jobIdentity } from './job-identity.ts'

/**
 * The same builder, asked as the job or machine in which this client runs, if there is no token for
 * it here. A failure is noted only: much of what these commands do needs no token.
 */
export async function identifyBuilder(
  builder: Builder,
  env: Record<string, string | undefined>,
  note: (text: string) => void,
  socket?: string,
): Promise<Builder> {
  const { gateway, token } = builder
  if (token !== '' || !gateway) return builder
  const identity = jobIdentity(env, audOf(gateway, env), socket)
  if (!identity) return builder
  try {
    return { ...builder, identity, token: await identity.token() }
  } catch (error) {
    note(errorMessage(error))
    return { ...builder, identity }
  }
}
