import { expect, test } from 'vitest'
import { hostileTexts } from '../../hostile-text.ts'
import { pageApp } from '../lab-actions.ts'
import { lab, openPage } from './open-page.ts'

/** Each would act somewhere: as markup, in an attribute, as a URL, as a style, or by its characters. */
const markup = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<svg/onload=alert(1)>',
  '"><iframe src=javascript:alert(1)></iframe>',
  "' onmouseover='alert(1)",
  '" autofocus onfocus="alert(1)',
  '</pre></main><style>*{display:none}</style>',
  '<link rel=stylesheet href=//evil.example/a.css>',
  '<meta http-equiv=refresh content="0;url=//evil.example">',
  '<base href=//evil.example/>',
  '<form action=//evil.example><button>Log in</button></form>',
  '<a href="javascript:alert(1)">a</a>',
  'javascript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  '&lt;b&gt; &#60;script&#62;',
  '<!--',
  ']]>',
  '${alert(1)} {{alert(1)}}',
  '\u202egnp.exe\u2066',
  '<plaintext>',
]

test('nothing that a build, a commit or a name says can act on a page', async () => {
  const text = markup.join('\n')
  const options = new URLSearchParams({
    message: text,
    branch: markup[1]!,
    author: markup[5]!,
    trigger: markup[0]!,
    'env.MARKUP': markup[3]!,
    'env.ADDRESS': 'javascript:alert(1)',
  })
  const output = [...markup, ...hostileTexts].join('\n')
  const files = {
    ...pageApp(
      'hostile',
      'COPY output /output',
      'RUN cat /output',
      'RUN echo "<b id=acts>"; exit 3',
    ),
    output,
    '<img src=x onerror=alert(1)>.txt': 'a',
  }
  const failed = await lab.end(await lab.submit('hostile', files, options.toString()))
  expect(failed.record.state).toBe('build_failed')
  const live = await lab.end(await lab.submit('hostile', pageApp('fine'), options.toString()))
  expect(live.record.state).toBe('live')

  await using ui = await openPage({ expected: /^422/ })
  const { page } = ui
  const address = `/ui/deployments/${failed.record.id}`
  const missing = `/ui/apps/${encodeURIComponent(markup[1]!)}`
  for (const path of [
    address,
    '/ui/apps/hostile',
    '/ui',
    `/ui/deployments/${live.record.id}`,
    `${address}/build`,
    `/ui/compare?a=${failed.record.id}&b=${live.record.id}`,
    missing,
  ]) {
    await page.goto(path)
    const found = await page.evaluate(
      `document.querySelectorAll('main :is(script, img, iframe, svg:not([viewBox]), style, link, meta, base, #acts, [onerror], [onload], [onfocus])').length`,
    )
    expect([path, found]).toEqual([path, 0])
    const links = (await page.evaluate(
      `[...document.querySelectorAll('[href], [action]')].map((each) => new URL(each.getAttribute('href') ?? each.getAttribute('action'), document.baseURI).href)`,
    )) as string[]
    expect(
      links.filter((link) => !/^https?:\/\/(?:127\.0\.0\.1|[\w.-]*localhost)[:/]/.test(link)),
    ).toEqual([])
  }
  await page.goto(address)
  const shown = await page.getByRole('main').innerText()
  for (const each of markup.filter((line) => !line.startsWith('\u202e')))
    expect(shown).toContain(each)
  // oxlint-disable-next-line no-control-regex -- control characters are what it is about
  expect(shown).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/)
  await ui.screenshot('deployment-hostile')
})
