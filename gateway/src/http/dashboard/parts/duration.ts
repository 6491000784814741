/**
 * `0 s`, `12 ms`, `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. `digits`: of less than ten seconds. This file
 * runs in browsers too.
 */
export function durationText(ms: number, digits = 1): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 0.1 && digits > 0) return ms > 0 ? `${Math.max(1, Math.round(ms))} ms` : '0 s'
  if (seconds < 10 && digits > 0) return `${seconds.toFixed(digits)} s`
  if (seconds < 60) return `${Math.floor(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48
    ? `${hours} h ${minutes % 60} min`
    : `${Math.floor(hours / 24)} d ${hours % 24} h`
}
