/** A size for people, in MB (10⁶ bytes). */
export const inMb = (bytes: number, digits = 0): string => `${(bytes / 1e6).toFixed(digits)} MB`
