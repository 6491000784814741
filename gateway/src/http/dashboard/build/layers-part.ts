import type { ImageLayer, ImageLayers } from '#api/image/layers.ts'
import { shortDigest } from '../deployment/facts-part.ts'
import { html, type Html } from '../parts/html.ts'
import { sizeText } from '../parts/size.ts'
import { table } from '../parts/tables.ts'
import { bars } from '../pictures/bar.ts'
import { sumOf } from '../pictures/columns.ts'

/** What an image is made of, with the largest layer named. */
export function layersPart({ reference, layers }: ImageLayers): Html {
  if (reference === null) return html`<p class="quiet">It has no image.</p>`
  if (layers.length === 0)
    return html`<p class="quiet">
      Machines get this image from a registry that the gateway does not read.
    </p>`
  const largest = largestOf(layers)
  const all = sumOf(layers.map(({ sizeBytes }) => sizeBytes))
  return html`<p>
      ${layers.length} ${layers.length === 1 ? 'layer' : 'layers'}, ${sizeText(all)} as stored. The
      largest has ${sizeText(largest.sizeBytes)}: ${layerName(largest)}.
    </p>
    ${table(
      'Layers of the image',
      ['Layer', 'Made by', 'Size', 'Of the largest'],
      layers.map((layer) => [
        html`<code>${shortDigest(layer.digest)}</code>`,
        html`<span class="mono">${layer.madeBy ?? ''}</span>`,
        sizeText(layer.sizeBytes),
        bars([{ value: layer.sizeBytes, look: 'phase-pushing' }], largest.sizeBytes),
      ]),
    )}`
}

/** The layers that only one of two images has: what must be pushed and pulled again. */
export function layersCompared(a: ImageLayers, b: ImageLayers): Html {
  const [before, after] = [digestsOf(a), digestsOf(b)]
  const gone = a.layers.filter(({ digest }) => !after.has(digest))
  const fresh = b.layers.filter(({ digest }) => !before.has(digest))
  if (gone.length + fresh.length === 0)
    return html`<p class="quiet">
      ${a.layers.length === 0 ? 'Their layers are not known.' : 'Both images have the same layers.'}
    </p>`
  const sizes = [...gone, ...fresh].map(({ sizeBytes }) => sizeBytes)
  const row = (which: string, look: string) => (layer: ImageLayer) => [
    which,
    html`<code>${shortDigest(layer.digest)}</code>`,
    html`<span class="mono">${layer.madeBy ?? ''}</span>`,
    sizeText(layer.sizeBytes),
    bars([{ value: layer.sizeBytes, look }], Math.max(...sizes)),
  ]
  return html`<p>
      Layers in both images: ${b.layers.length - fresh.length}. New ones: ${fresh.length}, with
      ${sizeText(sumOf(fresh.map((each) => each.sizeBytes)))}${fresh.length > 0 && html`; the largest: ${layerName(largestOf(fresh))}`}.
    </p>
    ${table(
      'Layers that only one of the images has',
      ['Image', 'Layer', 'Made by', 'Size', 'Of the largest'],
      [...gone.map(row('earlier', 'earlier')), ...fresh.map(row('later', 'phase-pushing'))],
    )}`
}

const digestsOf = ({ layers }: ImageLayers) => new Set(layers.map(({ digest }) => digest))

const largestOf = (layers: ImageLayer[]): ImageLayer =>
  layers.reduce((largest, layer) => (layer.sizeBytes > largest.sizeBytes ? layer : largest))

const layerName = ({ madeBy, digest }: ImageLayer): Html =>
  html`<span class="mono">${(madeBy ?? shortDigest(digest)).slice(0, 100)}</span>`
