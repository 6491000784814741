/** "10gb", "1.5 GB", "512k", "512 MiB" in bytes. Null: it is not a size. */
export function sizeBytes(text: string, base: 1000 | 1024): number | null {
  const match = /^\+?((?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?) ?(?:b|([kmgtp])(?:i?b)?)?$/i.exec(text)
  return match
    ? Math.trunc(Number(match[1]) * base ** ' kmgtp'.indexOf((match[2] || ' ').toLowerCase()))
    : null
}

/** The size in units of `unit` bytes, rounded down. A bare number already counts units. */
export function sizeIn(text: string, unit: 1e9 | 1048576): number | null {
  if (/^[+-]?\d+$/.test(text)) return Number(text)
  const bytes = sizeBytes(text, unit === 1e9 ? 1000 : 1024)
  return bytes === null ? null : Math.trunc(bytes / unit)
}
