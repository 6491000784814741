/** Reads a body of at most `maxBytes`. Throws `tooLarge()` for a larger one. */
export async function readBody(
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
  tooLarge = () => new Error(`an answer of more than ${maxBytes} bytes`),
): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of body) {
    sizeBytes += chunk.length
    if (sizeBytes > maxBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
