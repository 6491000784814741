const unknown =
  'fly releases, fly status and fly config show have the release before; fly scale count starts that one for a group without machines; fly secrets list calls secrets staged that run'

/** What a person reads about the registration with Fly. */
export const texts = {
  registered: (version: number) => `Fly knows this deployment as release v${version}.`,
  refused: (why: string) =>
    `Fly has not registered a release for this deployment. ${why} The deployment does not need it, but flyctl does not know this version: ${unknown}.`,
  unanswered: (waitMs: number) =>
    `Fly has not answered yet to the request to register a release. The gateway waits for at most ${waitMs / 1000} s more. Until Fly answers, flyctl does not know this version: ${unknown}.`,
  gaveUp: (waitMs: number) =>
    `Fly has not registered a release within ${waitMs / 1000} s after the end of the deployment. flyctl does not know its version: ${unknown}.`,
  stopped: `The gateway ends before Fly has answered to the request to register a release. Until the next deployment flyctl does not know this version: ${unknown}.`,
  unmarked: (made: { version: number }) => (why: string) =>
    `Not all machines carry the mark of Fly's release v${made.version}. ${why} fly secrets list may call secrets staged that run.`,
  restored: (before: number, version: number) =>
    `Release v${before} runs again. Fly's newest release is v${version}, which is the same.`,
  notRestored: (made: { version: number }) => (why: string) =>
    `Fly's newest release is v${made.version}, which failed and does not run. ${why} fly scale count would start it for a group without machines.`,
  statusRefused: (made: { version: number }, status: string) => (why: string) =>
    `Fly's release v${made.version} is not marked ${status}. ${why} fly releases shows it as running.`,
}
