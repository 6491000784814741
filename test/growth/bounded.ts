import { packJson, unpackJson } from '../../gateway/src/deployments/packed-json.ts'
import {
  isReserved,
  refuseEnvNames,
  refuseReservedGroups,
  refuseReservedMetadata,
} from '../../gateway/src/flytoml/reserved.ts'
import { tomlParts } from '../../gateway/src/flytoml/formats/toml-size.ts'
import { parseJson } from '../../gateway/src/host/parse-json.ts'
import { sourceText } from '../../gateway/src/host/source-text.ts'
import { parseReference } from '../../api/image/reference.ts'
import { saidIn } from '../../gateway/src/registry/copy/session.ts'
import { madeByOf } from '../../gateway/src/registry/image-layers.ts'
import { imageParts, refuseUnusable } from '../../gateway/src/registry/image-parts.ts'
import { hostileTexts, listed, repeated, type Shapes } from './growth.ts'

const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const manifest = (text: string) => ({ digest: '', mediaType, bytes: Buffer.from(text) })
const json = (text: string) => {
  try {
    parseJson(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
}
const manyLayers = (size: number) =>
  JSON.stringify({ layers: listed(size, 30, (at) => ({ digest: `sha256:${at}`, size: at })) })

export const bounded: Record<string, Shapes> = {
  'api/image/reference.ts › parseReference': {
    ...hostileTexts(parseReference),
    ...hostileTexts(parseReference, (text) => `ghcr.io/${text}`),
    ...hostileTexts(parseReference, (text) => `nginx:${text}`),
    ...hostileTexts(parseReference, (text) => `nginx@sha256:${text}`),
  },
  'gateway/src/registry/copy/session.ts › saidIn': hostileTexts((text) =>
    saidIn(Buffer.from(`{"message": "${text}`)),
  ),
  'gateway/src/deployments/packed-json.ts › unpackJson': {
    'many texts that repeat': (size) => {
      const packed = packJson(listed(size, 300, (at) => 'x'.repeat(300) + (at % 100)))
      return () => unpackJson(packed)
    },
    'one text at many places, deep inside': (size) => {
      const packed = packJson(listed(size, 50, () => ({ a: { b: [{ c: 'x'.repeat(300) }] } })))
      return () => unpackJson(packed)
    },
  },
  'gateway/src/flytoml/reserved.ts › isReserved': hostileTexts(isReserved),
  'gateway/src/flytoml/reserved.ts › refuseReservedMetadata': hostileTexts((name) =>
    refuseReservedMetadata('machine_config', { [name]: 'a' }),
  ),
  'gateway/src/flytoml/reserved.ts › refuseReservedGroups': hostileTexts((name) =>
    refuseReservedGroups([name]),
  ),
  'gateway/src/flytoml/reserved.ts › refuseEnvNames': hostileTexts((name) =>
    refuseEnvNames({ [name]: 'a' }),
  ),
  'gateway/src/flytoml/formats/toml-size.ts › tomlParts': {
    ...hostileTexts(tomlParts),
    'texts of several lines that never close': (size) => () => tomlParts(repeated('"""\n', size)),
    'comments without an end': (size) => () => tomlParts(repeated('#"\'', size)),
  },
  'gateway/src/host/parse-json.ts › parseJson': {
    ...hostileTexts(json),
    'nested lists': (size) => () => json(repeated('[', size)),
    'a text of backslashes': (size) => () => json(`"${repeated('\\\\', size)}"`),
    'many values': (size) => () => json(`[${repeated('1,', size)}1]`),
  },
  'gateway/src/host/source-text.ts › sourceText': hostileTexts((text) =>
    sourceText(Buffer.from(text), 'fly.toml', 'fly-config-invalid', { strict: true }),
  ),
  'gateway/src/registry/image-layers.ts › madeByOf': {
    ...hostileTexts((text) => madeByOf(Buffer.from(text))),
    ...hostileTexts((text) =>
      madeByOf(Buffer.from(JSON.stringify({ history: [{ created_by: text }] }))),
    ),
    'many layers': (size) => {
      const history = listed(size, 20, () => ({ created_by: 'RUN /bin/sh -c make # buildkit' }))
      const config = Buffer.from(JSON.stringify({ history }))
      return () => madeByOf(config)
    },
  },
  'gateway/src/registry/image-parts.ts › imageParts': {
    ...hostileTexts((text) => imageParts(manifest(text))),
    'many layers': (size) => () => imageParts(manifest(manyLayers(size))),
  },
  'gateway/src/registry/image-parts.ts › refuseUnusable': {
    ...hostileTexts((text) => refuseUnusable('r/web', manifest(text), 'linux/amd64')),
    'many layers': (size) => () =>
      refuseUnusable('r/web', manifest(manyLayers(size)), 'linux/amd64'),
  },
}
