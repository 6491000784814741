import { describe, expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { Redactor } from '../../../gateway/src/secrets/redaction/redactor.ts'

/**
 * The texts of one stream, as a reader sees them, pushed one by one. With `each`, flushed after
 * each one; otherwise at the end.
 */
function shown(secrets: (string | Uint8Array)[], texts: string[], each = false): string[] {
  const mask = new Redactor(secrets)
  const given: NewEvent[] = []
  for (const text of texts) {
    mask.push({ type: 'log', step: 's1', stream: 'stdout', text })
    if (each) given.push(...mask.flush(false))
  }
  given.push(...mask.flush(true))
  return given.flatMap((event) => (event.type === 'log' ? [event.text] : []))
}

/**
 * How programs print a secret: the output, and which letters of it (from, to) belong to the secret
 * itself.
 */
const encodings: Record<string, (value: Buffer) => [string, number?, number?]> = {
  plain: (value) => [value.toString()],
  hex: (value) => [value.toString('hex')],
  'upper-case hex': (value) => [value.toString('hex').toUpperCase()],
  base64: (value) => within(value, 0, 'base64'),
  base64url: (value) => within(value, 0, 'base64url'),
  'base64 one byte behind': (value) => within(value, 4, 'base64'),
  'base64 two bytes behind': (value) => within(value, 5, 'base64'),
  URL: (value) => [encodeURIComponent(value.toString())],
  form: (value) => [new URLSearchParams({ v: value.toString() }).toString().slice(2)],
  JSON: (value) => [JSON.stringify(value.toString()).slice(1, -1)],
  reversed: (value) => [Array.from(value.toString()).toReversed().join('')],
}
/** Each base64 letter encodes six bits. A letter belongs to the secret when all its bits do. */
function within(value: Buffer, before: number, encoding: BufferEncoding): [string, number, number] {
  const text = Buffer.concat([Buffer.alloc(before, 'é'), value, Buffer.from('éé')]).toString(
    encoding,
  )
  return [text, Math.ceil((before * 8) / 6), Math.floor(((before + value.length) * 8) / 6)]
}

describe('known secrets', () => {
  const secret = `p@ss "w/rd" it's+ünïcode=`
  test.each(Object.keys(encodings))(
    'are redacted in %s form, and the text around them stays',
    (name) => {
      const [form, from = 0, to = form.length] = encodings[name]!(Buffer.from(secret))
      expect(form.length).toBeGreaterThan(20)
      expect(shown([secret], [`before ${form} after`])).toEqual([
        `before ${form.slice(0, from)}***${form.slice(to)} after`,
      ])
    },
  )

  test('are redacted across lines and events, and the lines stay', () => {
    const long = 'correct-horse-battery-staple'
    expect(shown([long], ['a correct-horse\n-battery-\r\nstaple b'])).toEqual([
      'a ***\n***\r\n*** b',
    ])
    expect(shown([long], ['a correct-ho', 'rse-battery-', 'staple b'], true)).toEqual([
      'a ***',
      '***',
      '*** b',
    ])
    const folded = Buffer.from(long.repeat(6)).toString('base64').replaceAll(/.{76}/g, '$&\n')
    expect(shown([long.repeat(6)], [folded])).toEqual(['***\n***\n***'])
  })

  test('of many lines are also redacted line by line', () => {
    const key = 'first line of it\n  second line of it\n'
    expect(shown([key], ['x first line of it', 'y second line of it'])).toEqual(['x ***', 'y ***'])
  })

  test('that overlap or touch are redacted as one', () => {
    expect(shown(['abcdefgh', 'efghijkl'], ['-abcdefghijkl-abcdefghabcdefgh-'])).toEqual([
      '-***-***-',
    ])
  })

  test('of fewer than six letters, and text that only looks like a secret, stay', () => {
    const lines = [
      'short',
      'a correct-horse-batterx-staple',
      'correct-hors',
      'Correct-Horse-Battery-Staple',
    ]
    expect(shown(['short', 'correct-horse-battery-staple'], lines, true)).toEqual(lines)
  })

  test('may be any bytes', () => {
    const bytes = Buffer.from([0xff, 0, 0x80, 1, 2, 3, 0xfe, 9])
    expect(shown([bytes], [`${bytes.toString('hex')} ${bytes.toString('base64')}`])).toEqual([
      '*** ***',
    ])
  })

  test('a line that may begin a secret waits for the next output, but not beyond its step', () => {
    const mask = new Redactor(['correct-horse'])
    const log = (text: string, stream: 'stdout' | 'stderr' = 'stdout') =>
      mask.push({ type: 'log', step: 's1', stream, text })
    log('see correct-')
    log('another', 'stderr')
    expect(mask.flush(false)).toMatchObject([{ text: 'another' }])

    const failed = {
      type: 'step',
      step: 's1',
      name: 'echo correct-horse',
      status: 'failed',
    } as const
    mask.push(failed)
    expect(mask.flush(false)).toMatchObject([
      { text: 'see correct-' },
      { ...failed, name: 'echo ***' },
    ])
  })

  test('the held-back text is bounded, whatever a step prints', () => {
    const mask = new Redactor(['correct-horse-battery-staple'])
    for (let n = 0; n < 1000; n++)
      mask.push({ type: 'log', step: 's1', stream: 'stdout', text: n ? '' : 'correct-horse' })
    expect(mask.flush(false).length).toBeGreaterThan(980)
  })
})

describe('tokens', () => {
  const letters = 'Ab3'.repeat(30)
  const keyLines = Array.from({ length: 5 }, () => letters.slice(0, 64)).join('\n')
  const tokens: Record<string, string> = {
    'of GitHub': `ghp_${letters.slice(0, 36)}`,
    'of GitHub, fine grained': `github_pat_${letters.slice(0, 59)}`,
    'of AWS': 'AKIAIOSFODNN7EXAMPLE',
    'of Fly': `FlyV1 fm2_${letters}/+==,fm2_${letters}=`,
    'of Fly, bare': `fm2_${letters}+/=`,
    'of this gateway': `tmc_${letters.slice(0, 61)}`,
    'of GitLab': `glpat-${letters.slice(0, 18)}-_`,
    'of GitLab, routable': `glpat-${letters.slice(0, 27)}.01.${letters.slice(0, 9)}`,
    'of a GitLab runner': `glrt-${letters.slice(0, 20)}`,
    'of Google': `AIza${letters.slice(0, 35)}`,
    'of Google, for OAuth': `ya29.a0${letters}-_`,
    'of Stripe': `sk_live_${letters.slice(0, 24)}`,
    'of Stripe, restricted': `rk_test_${letters}`,
    'of Stripe webhooks': `whsec_${letters.slice(0, 32)}`,
    'of Slack': `xoxb-123456789012-1234567890123-${letters.slice(0, 24)}`,
    'of a Slack app': `xapp-1-A012-123-${letters.slice(0, 64)}`,
    'of npm': `npm_${letters.slice(0, 36)}`,
    'of PyPI': `pypi-AgEIcHlwaS5vcmc${letters}-_`,
    'of OpenAI': `sk-${letters.slice(0, 20)}T3BlbkFJ${letters.slice(0, 20)}`,
    'of an OpenAI project': `sk-proj-${letters.slice(0, 40)}-_${letters}`,
    'of Anthropic': `sk-ant-api03-${letters}-${letters.slice(0, 5)}AA`,
    'of Tailscale': `tskey-auth-k${letters.slice(0, 11)}CNTRL-${letters.slice(0, 32)}`,
    'of Docker': `dckr_pat_${letters.slice(0, 27)}`,
    'of Hugging Face': `hf_${letters.slice(0, 34)}`,
    'of DigitalOcean': `dop_v1_${'0a'.repeat(32)}`,
    'of Shopify': `shpat_${'0a'.repeat(16)}`,
    'of Vault': `hvs.${letters}`,
    'of SendGrid': `SG.${letters.slice(0, 22)}.${letters.slice(0, 43)}`,
    'of Sentry': `sntrys_${letters}=_${letters}`,
    'key of age': `AGE-SECRET-KEY-1${'QZ'.repeat(29)}`,
    'PGP key': `-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2 (x)\n\n${keyLines}\n=Ab3=\n-----END PGP PRIVATE KEY BLOCK-----`,
    JWT: `eyJhbGciOiJIUzI1NiJ9.eyJ${letters}.${letters}`,
    'private key': `-----BEGIN RSA PRIVATE KEY-----\n${keyLines}\n-----END RSA PRIVATE KEY-----`,
    'private key in JSON': `-----BEGIN PRIVATE KEY-----\\n${keyLines.replaceAll('\n', '\\n')}\\n-----END PRIVATE KEY-----`,
  }
  test.each(Object.keys(tokens))('%s: redacted, in one event or in many', (name) => {
    const stars = tokens[name]!.replaceAll(/[^\n]+/g, '***')
    expect(shown([], [`token "${tokens[name]}" after`])).toEqual([`token "${stars}" after`])
    const lines = `token "${tokens[name]}" after`.split('\n')
    expect(shown([], lines, true)).toEqual(`token "${stars}" after`.split('\n'))
  })

  test('a private key ends with its last line', () => {
    expect(shown([], [`${tokens['private key']}\nafter`])[0]).toMatch(/\*\*\*\nafter$/)
  })

  test('a token that is cut because its line was too long for one event is redacted', () => {
    const line = `${'x '.repeat(8200)}${tokens['of GitHub']} after`
    const [head, tail] = shown([], [line.slice(0, 16_420), line.slice(16_420)], true)
    expect(head! + tail!).toBe(`${'x '.repeat(8200)}****** after`)
  })

  test.each([
    ['postgres://app:s3cret@db.internal:5432/x', 'postgres://app:***@db.internal:5432/x'],
    ['redis://:pw@cache:6379 and more', 'redis://:***@cache:6379 and more'],
    ['a mongodb+srv://u:p%40ss!$&@c.net/?w=1 b', 'a mongodb+srv://u:***@c.net/?w=1 b'],
    ['http://a:b@c http://d:e@f', 'http://a:***@c http://d:***@f'],
    [`https://u:ghp_${'a'.repeat(36)}@github.com`, 'https://u:***@github.com'],
    [`AWS_SECRET_ACCESS_KEY=${'wJa/+rXU'.repeat(5)} x`, 'AWS_SECRET_ACCESS_KEY=*** x'],
    [`{"SecretAccessKey": "${'wJa/+rXU'.repeat(5)}"}`, '{"SecretAccessKey": "***"}'],
    [
      `https://hooks.slack.com/services/T0/B0/${'a1'.repeat(12)} x`,
      'https://hooks.slack.com/services/*** x',
    ],
  ])('only the secret part is redacted: %s', (text, safe) => {
    expect(shown([], [text])).toEqual([safe])
    expect(shown([], [text, 'next'], true)).toEqual([safe, 'next'])
  })

  test.each([
    'http://localhost:3000 is up',
    'http://host:80/path@x',
    'see https://example.com/@user',
    'a://b://c',
    'ssh://git@github.com/x.git',
    'AKIA12',
    `task-${'0a'.repeat(16)}`,
    'npm_config_registry_of_all_the_packages_that_we_use',
    'sk-loading-container-with-a-very-long-name-of-a-class',
    `tmc_${'a'.repeat(60)}`,
    'aws_secret_access_key = ""',
    'https://hooks.slack.com/services/',
    'ghp_short',
    'info1_a_very_long_identifier_name',
    'eyJhbGciOiJIUzI1NiJ9 eyJ',
    '-----BEGIN CERTIFICATE-----\nAbc',
  ])('%j is not a token', (text) => expect(shown([], [text])).toEqual([text]))
})

test('the note of missing output stays behind the text before it, even while that text waits', () => {
  const mask = new Redactor(['a-long-secret'])
  const log = (step: string, text: string) =>
    mask.push({ type: 'log', step, stream: 'stdout', text })
  log('s1', 'one a-long-')
  mask.push({ type: 'dropped', step: 's1', lines: 7, bytes: 900 })
  mask.push({ type: 'dropped', step: 's2', lines: 1, bytes: 10 })
  expect(mask.flush(false)).toMatchObject([{ type: 'dropped', step: 's2' }])

  log('s1', 'last')
  expect(mask.flush(false)).toMatchObject([
    { text: 'one a-long-' },
    { type: 'dropped', step: 's1' },
    { text: 'last' },
  ])
})

test('all texts of events and problems are redacted, but not our own words in them', () => {
  const mask = new Redactor(['build-failed', 'started', 'railpack'])
  const hidden = mask.redact({
    code: 'build-failed',
    detail: 'railpack build-failed',
    lastLines: ['it was build-', 'failed'],
    source: { line: 3, text: 'RUN started' },
    url: null,
  })
  expect(hidden).toEqual({
    code: 'build-failed',
    detail: '*** ***',
    lastLines: ['it was ***', '***'],
    source: { line: 3, text: 'RUN ***' },
    url: null,
  })
})

/** `own`: belongs to a secret. `joined`: nothing separates it from the letter before. */
type Letter = { char: string; own: boolean; joined: boolean }

/** `npm run mask` runs a million. TARMAC_SEED sets other random numbers. */
const cases = Number(process.env['TARMAC_MASK_CASES'] ?? 10_000)
test(
  `in ${cases} random logs nothing leaks, and the text around is untouched`,
  { timeout: 10 * cases },
  () => {
    const seed = Number(process.env['TARMAC_SEED'] ?? 20_261_123)
    const random = generator(seed)
    const below = (limit: number) => Math.floor(random() * limit)
    const pick = <T>(from: readonly T[]) => from[below(from.length)]!
    const word = (letters: string, least: number, most: number) =>
      Array.from({ length: least + below(most - least + 1) }, () => pick(letters.split(''))).join(
        '',
      )
    const secretLetters = `ABCDEFGHJKMNPQRSTUVWXYZabcxyz23456789!"#$%&'()*+,-./:;<=>?@[]^_{|}~\\\n\té `
    const aroundLetters = 'øåæđħŋ¡¿·¬ \n' // letters that no form of a secret contains
    const wordLetters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_'
    const lines = () => Array.from({ length: 1 + below(6) }, () => word(wordLetters, 1, 64))
    /** Each token is on one line, except a private key, of which only the first words are. */
    const tokens = [
      () => `gh${pick(['p', 'o', 'u', 's', 'r'])}_${word(wordLetters, 36, 80)}`,
      () => `github_pat_${word(wordLetters, 22, 90)}`,
      () => `${pick(['AKIA', 'ASIA'])}${word(wordLetters.slice(0, 26), 16, 16)}`,
      () =>
        `FlyV1 ${['fm2_', ...Array(below(3)).fill(',fm2_')].map((mark) => mark + word(wordLetters, 20, 200)).join('')}`,
      () => `${pick(['fm1r_', 'fm1a_', 'fm2_', 'fo1_'])}${word(`${wordLetters}+/=-`, 20, 200)}`,
      () =>
        `eyJ${word(wordLetters, 5, 60)}.eyJ${word(wordLetters, 5, 90)}.${word(`${wordLetters}-`, 1, 90)}`,
      () => {
        const [kind, lineEnd] = [
          `${pick(['', 'RSA ', 'EC ', 'OPENSSH '])}PRIVATE KEY-----`,
          pick(['\n', '\r\n', '\\n']),
        ]
        return [`-----BEGIN ${kind}`, ...lines(), `-----END ${kind}`].join(lineEnd)
      },
    ]

    for (let n = 0; n < cases; n++) {
      const secrets = Array.from(
        { length: 1 + below(3) },
        () => `Q${word('23456789', 4, 4)}${word(secretLetters, 0, below(10) ? 40 : 300)}Q`,
      )
      const log: Letter[] = []
      const own: string[] = []
      const around = (text: string) =>
        log.push(...text.split('').map((char) => ({ char, own: false, joined: false })))
      for (let part = 0; part < 1 + below(4); part++) {
        around(`${word(aroundLetters, 0, 12)}·`)
        const isToken = below(3) === 0
        const [form, from = 0, to = form.length] = isToken
          ? [pick(tokens)()]
          : encodings[pick(Object.keys(encodings))]!(Buffer.from(pick(secrets)))
        const joinedTo = isToken ? /^-----BEGIN [A-Z ]*-----|.*/.exec(form)![0].length : 0
        const breaks = pick([0, 0.02, 0.3])
        for (const [at, char] of form.split('').entries()) {
          const joined = at > 0 && at < joinedTo
          if (!joined && random() < breaks)
            log.push({ char: pick(['\n', '\r']), own: false, joined: false })
          log.push({ char, own: at >= from && at < to, joined })
        }
        own.push(form.slice(from, to).replaceAll(/[\r\n]/g, ''))
        around(`·${word(aroundLetters, 0, 12)}`)
      }
      const events: Letter[][] = []
      for (let from = 0; from < log.length;) {
        let to = from + pick([1, 7, 40, 1000])
        while (log[to]?.joined) to++
        events.push(log.slice(from, to))
        from = to
      }

      const texts = events.map((letters) => letters.map(({ char }) => char).join(''))
      const about = () => `seed ${seed}, case ${n}: ${JSON.stringify({ secrets, texts })}`
      const seen = shown(secrets, texts)
      if (seen.join('\0') !== events.map(expected).join('\0'))
        expect(seen, about()).toEqual(events.map(expected))
      // With an early flush, the first letters of a secret may appear at the end of an event, but
      // never all of it.
      const early = shown(secrets, texts, true).join('')
      const letters = early.replaceAll(/[\r\n]/g, '')
      if (own.some((form) => letters.includes(form))) expect.fail(`leaked: ${about()}`)
      const kept = (text: string) => text.replaceAll(/[^øåæđħŋ¡¿·¬]/g, '')
      if (kept(early) !== kept(texts.join(''))) expect.fail(`changed: ${about()}`)
    }
    expect.assertions(0)
  },
)

function expected(letters: Letter[]): string {
  let text = ''
  let hidden = false
  for (const { char, own } of letters) {
    const isBreak = char === '\n' || char === '\r'
    if (isBreak || !own) text += char
    else if (!hidden) text += '***'
    hidden = own && !isBreak
  }
  return text
}

/** Mulberry32: small, and equal on every machine. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
