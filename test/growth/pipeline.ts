import type { NewEvent } from '../../api/event.ts'
import { differences } from '../../gateway/src/differences.ts'
import { fromImage, type ExistingImageDeps } from '../../gateway/src/commands/existing-image.ts'
import { AhoCorasick } from '../../gateway/src/secrets/redaction/aho-corasick.ts'
import { LogLimit } from '../../gateway/src/pipeline/log-limit.ts'
import { LogWriter } from '../../gateway/src/pipeline/log-writer.ts'
import { Redactor } from '../../gateway/src/secrets/redaction/redactor.ts'
import { imageBytes, newBytes } from '../../gateway/src/build/image-sizes.ts'
import { secretEncodings } from '../../gateway/src/secrets/redaction/secret-encodings.ts'
import { TokenPatterns } from '../../gateway/src/secrets/redaction/token-patterns.ts'
import { imageBuilder } from '../../gateway/src/registry/image-index.ts'
import { hostileTexts, listed, repeated, type Shape, type Shapes } from './growth.ts'

const log = (text: string): NewEvent => ({ type: 'log', step: 'a', stream: 'stdout', text })
const secret = 'abababab-secret'
const redacted = (texts: string[]) => {
  const mask = new Redactor([secret])
  for (const text of texts) {
    mask.push(log(text))
    mask.flush(false)
  }
  return mask.flush(true)
}
const shapesIn = (text: string) => {
  const shapes = new TokenPatterns()
  for (let at = 0; at < text.length; at++) shapes.letter(text.charCodeAt(at), at)
  return shapes.undecidedFrom
}
const written = (texts: string[]) => {
  const writer = new LogWriter(async () => true, [secret], {
    limits: { stepBytes: 1000, allBytes: 10_000, tailBytes: 1e6 },
  })
  for (const text of texts) writer.emit(log(text))
  return writer.flush()
}
const limited =
  (text: (at: number) => string, charsEach: number): Shape =>
  (size) => {
    const texts = listed(size, charsEach, text)
    return () => {
      const limit = new LogLimit({ stepBytes: 10, allBytes: 10, tailBytes: size / 4 })
      for (const each of texts) limit.push(log(each))
      return limit.flush()
    }
  }
const deps = {
  store: { find: async () => null, releases: { find: async () => null } },
  registry: { manifest: async () => null },
  registryHost: 'a',
} as unknown as ExistingImageDeps
const manifestOf = (size: number) => {
  const layers = listed(size, 40, (at) => `sha256:${at}`).map((digest) => ({ digest, size: 1 }))
  return { digest: 'a', mediaType: 'a', bytes: Buffer.from(JSON.stringify({ layers })) }
}

export const pipeline: Record<string, Shapes> = {
  'gateway/src/secrets/redaction/redactor.ts › Redactor': {
    ...hostileTexts((text) => redacted([text])),
    ...hostileTexts((text) => redacted([`-----BEGIN PRIVATE KEY-----${text}`])),
    'a secret in each word of one text': (size) => () => redacted([repeated(`${secret} `, size)]),
    'a secret in each of many texts': (size) => () => redacted(listed(size, 16, () => secret)),
    'a secret in each of many texts, given at once': (size) => () => {
      const mask = new Redactor([secret])
      for (const text of listed(size, 16, () => secret)) mask.push(log(text))
      return mask.flush(true)
    },
    'a secret in each text of a list': (size) => () =>
      new Redactor([secret]).redact(listed(size, 16, () => secret)),
    'a secret that never ends': (size) => () => redacted(listed(size, 4, () => 'abab')),
    'tokens that never end': (size) => () => redacted(listed(size, 8, () => 'eyJaaaaa')),
  },
  'gateway/src/secrets/redaction/aho-corasick.ts › AhoCorasick': {
    ...hostileTexts(
      (text) => new AhoCorasick(listed(text.length, 64, (at) => text.slice(64 * at, 64 * at + 64))),
    ),
    'many texts': (size) => () => new AhoCorasick(listed(size, 8, (at) => `text${at}`)),
  },
  'gateway/src/secrets/redaction/token-patterns.ts › TokenPatterns': {
    ...hostileTexts(shapesIn),
    'beginnings of tokens': (size) => () => shapesIn(repeated('eyJghp_fm2_AKIA', size)),
  },
  'gateway/src/secrets/redaction/secret-encodings.ts › secretEncodings': hostileTexts((text) =>
    secretEncodings([text]),
  ),
  'gateway/src/pipeline/log-limit.ts › LogLimit': {
    'empty lines in one text': (size) => () =>
      new LogLimit({ stepBytes: 10, allBytes: 10, tailBytes: size / 4 }).push(
        log(repeated('\n', size)),
      ),
    'short texts': limited(() => '', 1),
    'lines over the tail': limited((at) => `line ${at}`, 10),
  },
  'gateway/src/pipeline/log-writer.ts › LogWriter': {
    ...hostileTexts((text) => written([text])),
    'many short texts': (size) => () => written(listed(size, 4, () => 'a')),
  },
  'gateway/src/differences.ts › differences': {
    'wide values': (size) => {
      const value = Object.fromEntries(
        listed(size, 10, (at) => `a${at}`).map((name) => [name, name]),
      )
      return () => [
        differences(value, {}),
        differences({}, value),
        differences({ ...value, b: 1 }, value),
      ]
    },
  },
  'gateway/src/commands/existing-image.ts › fromImage': {
    ...hostileTexts((image) =>
      fromImage(
        { app: 'a', options: { deploy: true } as never },
        { image },
        deps,
        AbortSignal.timeout(10_000),
      ),
    ),
    ...hostileTexts(
      (image) =>
        fromImage(
          { app: 'a', options: { deploy: true } as never },
          { image },
          deps,
          AbortSignal.timeout(10_000),
        ),
      (text) => `a/${text}`,
    ),
  },
  'gateway/src/build/image-sizes.ts › newBytes': {
    'many layers': (size) => {
      const manifest = manifestOf(size)
      return () => newBytes([manifest, manifest], 'a', async () => manifest)
    },
  },
  'gateway/src/build/image-sizes.ts › imageBytes': {
    'many layers': (size) => {
      const manifest = manifestOf(size)
      return () => imageBytes(manifest)
    },
  },
  'gateway/src/registry/image-index.ts › imageBuilder': {
    'many layers': (size) => {
      const manifest = manifestOf(size)
      return () => imageBuilder(manifest)
    },
  },
}
