/**
 * The name of a step of a build without the count of its stage's steps and the digest of its base
 * image, which may change: `[build 3/4] RUN make` is `[build] RUN make`.
 */
export const stepKey = (name: string): string =>
  withoutPlace(name).replace(/@sha256:[\da-f]{64}/, '')

/** Without the count alone. */
export const withoutPlace = (name: string): string =>
  name.replace(/^\[([^\]\n]{0,100}?) ?\d{1,6}\/\d{1,6}\]/, '[$1]')
