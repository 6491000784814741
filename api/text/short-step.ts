const stepChars = 80

/** The name of a step of a Dockerfile without its command, as in `[build 3/4] RUN`; others cut. */
export function shortStep(name: string): string {
  const short = /^\[[^\]\n]{0,80}\] [A-Z]+(?= )/.exec(name)?.[0]
  if (short !== undefined) return short
  const [first = ''] = name.split('\n', 1)
  return name.length > stepChars ? `${first.slice(0, stepChars)}…` : name
}
