import type { NewCancelRequest } from '#api/deployment.ts'

// What the audit trail keeps of the arguments of some commands: names and numbers, and never the
// value of a secret or a token.

type Submission = {
  source: { digest: string }
  secrets: ReadonlyMap<string, unknown>
  options: { trigger: string | null }
}
type Change = { values: ReadonlyMap<string, string | null>; deploy: boolean }

/** For commands whose arguments hold names and numbers alone. */
export const ofArguments = { asked: (args: unknown[]) => ({ arguments: args }) }

export const ofSubmission = {
  asked: ([{ source, secrets, options }]: [Submission]) => ({
    source: source.digest,
    trigger: options.trigger,
    secrets: [...secrets.keys()],
  }),
}

export const ofCancel = {
  asked: ([id, request]: [string, NewCancelRequest]) => ({ id, ...request }),
  made: () => null,
}

/** For commands whose second argument is the name of a secret. */
export const ofName = { asked: ([_app, name]: [string, string, ...unknown[]]) => ({ name }) }

/** Secrets or variables: their names alone. */
export const ofChange = {
  asked([_app, { values, deploy }]: [string, Change]) {
    const names = [...values.keys()]
    return {
      set: names.filter((name) => values.get(name) !== null),
      unset: names.filter((name) => values.get(name) === null),
      deploy,
    }
  },
}

type Token = { id: string; name: string; scopes: readonly string[]; apps: readonly string[] | null }
/** A token may be named by its own text, so its facts come from the result. */
export const ofToken = {
  after: ({ name, scopes, apps, ...token }: Token & { expiresAt?: string | null }) => ({
    name,
    scopes,
    apps,
    expiresAt: token.expiresAt ?? null,
  }),
}

export const ofRollback = {
  asked: ([{ release }]: [{ release: number | null }]) => ({ release }),
}
export const ofRetry = {
  asked: ([deployment, { reuseImage }]: [string, { reuseImage: boolean }]) => ({
    deployment,
    reuseImage,
  }),
}
export const ofDeletedApp = {
  asked: ([_app, foreign]: [string, boolean]) => ({ foreign }),
}
