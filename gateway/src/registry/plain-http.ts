/** A registry on loopback speaks plain HTTP, as for docker. Others do so when the operator says so. */
export const speaksPlainHttp = (host: string, listed: readonly string[] = []): boolean =>
  onLoopback(host) || listed.includes(host)

export const onLoopback = (host: string): boolean => /^(127\.|localhost(:|$)|\[::1\])/.test(host)
