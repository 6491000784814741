/** A size for people: `87 B`, `312 kB`, `4.2 MB`, `1.3 GB` (powers of 1000, as `inMb`). */
export function sizeText(bytes: number): string {
  if (bytes < 1e3) return `${Math.ceil(bytes)} B`
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`
}
