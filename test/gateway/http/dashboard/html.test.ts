import { expect, test } from 'vitest'
import { attributes, html, safeUrl } from '../../../../gateway/src/http/dashboard/parts/html.ts'

const hostile = `</p><script>alert(1)</script>"' onerror=alert(1) \`&\x1b[2J\u202e`

test('a value is text, whatever it holds', () => {
  const text = html`<p title="${hostile}">${hostile}</p>`.toString()
  const shown =
    '&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; onerror=alert(1) &#96;&amp;\\x1b[2J\\u{202e}'
  expect(text).toBe(`<p title="${shown}">${shown}</p>`)
})

test('only html makes markup; an object that looks like it is text', () => {
  const inner = html`<b>${'<'}</b>`
  expect(html`${inner}${[inner, null, undefined, false, 0]}`.toString()).toBe(
    '<b>&lt;</b><b>&lt;</b>0',
  )
  const copy = { toString: () => '<b>' } as never
  expect(html`${copy}`.toString()).toBe('&lt;b&gt;')
  expect(() => html`<a title="${inner}">a</a>`).toThrow(/cannot be in a template/)
})

test('a URL is of this gateway or of http, and a part of one is encoded', () => {
  const good = ['/ui/apps/a?b=c#d', '#s1L2', '?a=b', 'https://a.example/', 'HTTP://a']
  expect(good.map(safeUrl)).toEqual(good)
  const bad = [
    'javascript:alert(1)',
    ' javascript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,a',
    '//evil.example',
    '/\\evil.example',
    '/\t/evil.example',
    'vbscript:a',
    'a.html',
    '',
  ]
  expect(bad.map(safeUrl)).toEqual(bad.map(() => 'about:invalid'))
  expect(html`<a href="${'javascript:alert(1)'}">a</a>`.toString()).toBe(
    '<a href="about:invalid">a</a>',
  )
  expect(html`<a href="/ui/apps/${'../a?b="c"&\ud800'}">a</a>`.toString()).toBe(
    '<a href="/ui/apps/..%2Fa%3Fb%3D%22c%22%26%EF%BF%BD">a</a>',
  )
})

/** A template in parts, with one value between each two: our formatter corrects wrong ones. */
const template = (value: string | ReturnType<typeof attributes>, ...pieces: string[]) =>
  html(Object.assign(pieces, { raw: pieces }), ...pieces.slice(1).map(() => value)).toString()

test('a template with a value where it could act does not work at all', () => {
  for (const pieces of [
    ['<a href=', '>a</a>'],
    ["<a href='", "'>a</a>"],
    ['<', '>'],
    ['<a onclick="', '">a</a>'],
    ['<a style="', '">a</a>'],
    ['<iframe srcdoc="', '"></iframe>'],
    ['<script>', '</script>'],
    ['<style>', '</style>'],
    ['<a title="a" b', '="c">a</a>'],
  ])
    expect(() => template('a', ...pieces), pieces.join('…')).toThrow(/No value can be here/)
  expect(() => template('a', '<a ', '>a</a>')).toThrow(/cannot be in a template as tag/)
})

test('a condition sets attributes, of names that cannot act', () => {
  const shown = attributes({ title: '"<', disabled: true, hidden: false, id: null })
  expect(template(shown, '<a ', '>')).toBe('<a title="&quot;&lt;" disabled>')
  for (const name of ['onclick', 'href', 'style', 'srcdoc'])
    expect(() => attributes({ [name]: 'a' })).toThrow(/cannot set/)
})
