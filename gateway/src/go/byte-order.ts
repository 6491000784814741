/** Compares by UTF-8 bytes, as Go sorts strings. JavaScript differs beyond the basic plane. */
export const byteOrder = (a: string, b: string): number =>
  Buffer.compare(Buffer.from(a), Buffer.from(b))
