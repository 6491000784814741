/**
 * Pages as tagged templates. A value is text unless `html` made it, so no text from outside can
 * become markup. Each value is written by where it is: as text, in a quoted attribute, or as a URL;
 * a template with a value anywhere else throws when it is first used.
 *
 * Ours, and not a library: eta, EJS and Handlebars have a form without escaping, and none of them
 * knows the place of a value; JSX needs a build step, which the gateway does not have. What we need
 * of them is this file.
 */
import { showControls } from '#api/text/visible-text.ts'

/** Markup. Only `html` makes it: no string has this type, and no other code can construct it. */
class Markup {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}
export type Html = Markup

/** Attributes that a condition decides, made by `attributes`. */
class Attributes {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

type Value = Html | Attributes | string | number | null | undefined | false | readonly Value[]

/** Where a value is in a template. */
type Place = 'text' | 'attribute' | 'url' | 'part of a url' | 'tag'

const places = new WeakMap<TemplateStringsArray, Place[]>()

/** Makes markup. Null, undefined and false are nothing; a list is its values one after the other. */
export function html(strings: TemplateStringsArray, ...values: Value[]): Html {
  const own = places.get(strings) ?? placesIn(strings)
  places.set(strings, own)
  let text = strings[0]!
  for (const [at, value] of values.entries()) text += written(value, own[at]!) + strings[at + 1]!
  return new Markup(text)
}

const optional =
  /^(?:aria-[a-z]+|data-[a-z-]+|autofocus|checked|class|datetime|disabled|hidden|id|max|maxlength|min|open|placeholder|required|selected|title|value)$/

/** Attributes for a tag: those with the value false or null are left out. */
export function attributes(all: Record<string, string | number | boolean | null>): Attributes {
  const shown = Object.entries(all).filter(([, value]) => value !== false && value !== null)
  const parts = shown.map(([name, value]) => {
    if (!optional.test(name)) throw new Error(`A condition cannot set the attribute ${name}.`)
    return value === true ? name : `${name}="${escaped(String(value))}"`
  })
  return new Attributes(parts.join(' '))
}

function written(value: Value, place: Place): string {
  if (value === null || value === undefined || value === false) return ''
  if (Array.isArray(value)) return value.map((each: Value) => written(each, place)).join('')
  const isMarkup = value instanceof Markup
  if (value instanceof Attributes !== (place === 'tag') || (isMarkup && place !== 'text'))
    throw new Error(`This value cannot be in a template as ${place}.`)
  if (isMarkup || value instanceof Attributes) return value.toString()
  const text = String(value)
  if (place === 'url') return escaped(safeUrl(text))
  return place === 'part of a url' ? encodeURIComponent(text.toWellFormed()) : escaped(text)
}

/**
 * An address of this gateway or of http(s), else an address of nothing: a browser runs
 * `javascript:`, reads `//host` as another host, and drops control characters before it looks.
 */
export function safeUrl(url: string): string {
  const isClean = !/[\p{Cc}\s\\]/u.test(url)
  return isClean && /^(?:https?:\/\/|\/(?!\/)|[?#])/i.test(url) ? url : 'about:invalid'
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
}

const escaped = (text: string): string =>
  showControls(text).replaceAll(/[&<>"'`]/g, (character) => entities[character]!)

const urls = /^(?:href|src|action|formaction)$/
const executed = /^(?:on.*|style|srcdoc|srcset|ping|data|poster)$/

/** Styles and scripts are files of their own: no page may have them inside, says its policy. */
const inline = /<(?:style|script(?! type="module" src="))/i

/** The places of a template's values. Throws where no value can be. */
function placesIn(strings: TemplateStringsArray): Place[] {
  if (strings.some((piece) => inline.test(piece))) throw misplaced(strings.join('…'))
  return strings.slice(0, -1).map((_, at) => {
    const before = strings.slice(0, at + 1).join('\uFFFC')
    const tag = /<[^<>]*$/.exec(before)?.[0]
    if (tag === undefined) return 'text'
    const [, name = '', begun = ''] = /\s([a-z-]+)="([^"]*)$/.exec(tag) ?? []
    if (name === '') {
      if (/^<[a-z\d]+(?:\s[^"]*(?:"[^"]*"[^"]*)*)?\s$/.test(tag)) return 'tag'
      throw misplaced(before)
    }
    if (executed.test(name)) throw misplaced(before)
    if (!urls.test(name)) return 'attribute'
    return begun === '' ? 'url' : 'part of a url'
  })
}

const misplaced = (before: string) =>
  new Error(`No value can be here in a template: ${before.slice(-80)}`)
