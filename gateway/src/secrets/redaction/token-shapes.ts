/** From `min` to `max` letters of one kind. A run takes as many as it can. */
export type Run = { kind: Uint8Array; min: number; max: number }
export type Shape = {
  /** The possible beginnings of the token. */
  begins: string[]
  follows: Run[]
  /** The token may not follow a letter, a digit or _. Only for beginnings of at most 31 letters. */
  apart?: true
  /** The token continues over line ends, up to this text. */
  until?: string
  /** Only this run of `follows` is secret; the letters around it stay. */
  secretRun?: number
}

const runOf = (isOne: (letter: string) => boolean, min: number, max: number): Run => ({
  kind: Uint8Array.from({ length: 128 }, (_, code) => Number(isOne(String.fromCharCode(code)))),
  min,
  max,
})
const run = (letters: RegExp, min: number, max = Infinity) =>
  runOf((letter) => letters.test(letter), min, max)
const exactly = (text: string) =>
  text.split('').map((letter) => runOf((other) => other === letter, 1, 1))
const keyKinds = ['', 'RSA ', 'EC ', 'DSA ', 'OPENSSH ', 'ENCRYPTED ']

/** Tokens of a mark and letters of one kind: at least so many, or exactly from the one to the other. */
const marked = (begins: string, letters: RegExp, min: number, max = 4000): Shape => ({
  begins: begins.split(' '),
  follows: [run(letters, min, max)],
})
/** The same, where the mark also occurs inside other words. */
const apart = (begins: string, letters: RegExp, min: number, max = 4000): Shape => ({
  ...marked(begins, letters, min, max),
  apart: true,
})
const [wordLetters, dashed, hex, plain] = [/\w/, /[\w-]/, /[\da-f]/, /[\dA-Za-z]/]

/** A value after its name, as in a file of settings or JSON: only the value is secret. */
const named = (begins: string[], letters: RegExp, min: number, max: number): Shape => ({
  begins,
  follows: [run(/["'\\\s:=]/, 1, 10), run(letters, min, max)],
  apart: true,
  secretRun: 1,
})

/**
 * How the tokens of the big providers look, and ours. Sources: their own documentation, and the
 * patterns that GitHub's secret scanning lists as partners.
 */
export const shapes: Shape[] = [
  // This gateway: see `newToken`.
  marked('tmc_', plain, 61, 61),
  // GitHub, GitLab, Bitbucket
  marked('ghp_ gho_ ghu_ ghs_ ghr_', wordLetters, 36, 255),
  marked('github_pat_', wordLetters, 22, 255),
  apart(
    'glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct- glwt-',
    /[\w.-]/,
    20,
    500,
  ),
  apart('ATATT3 ATCTT3 ATBB', /[\w+/=-]/, 20, 500),
  // AWS, Google, Azure, DigitalOcean, Heroku, Cloudflare
  apart('AKIA ASIA ABIA ACCA', /[A-Z0-9]/, 16, 16),
  named(
    ['aws_secret_access_key', 'AWS_SECRET_ACCESS_KEY', 'SecretAccessKey', 'secretAccessKey'],
    /[\w+/]/,
    40,
    40,
  ),
  named(['aws_session_token', 'AWS_SESSION_TOKEN', 'SessionToken'], /[\w+/=]/, 100, 4000),
  apart('AIza', dashed, 35, 35),
  apart('ya29.', /[\w.-]/, 20),
  apart('GOCSPX-', dashed, 28, 28),
  marked('AccountKey= SharedAccessKey=', /[\w+/=]/, 40, 100),
  marked('dop_v1_ doo_v1_ dor_v1_', hex, 64, 64),
  apart('HRKU-', dashed, 36, 100),
  // Stripe, Square, Shopify
  apart('sk_live_ sk_test_ rk_live_ rk_test_ sk_org_live_ sk_org_test_ whsec_', /[\w+/=]/, 16, 300),
  apart('sq0atp- sq0csp-', dashed, 22, 100),
  apart('shpat_ shpca_ shppa_ shpss_', hex, 32, 32),
  // Slack, Discord and Telegram have no marks; Slack's webhooks are addresses
  apart('xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxc- xoxd- xapp-', /[\w.%+/=-]/, 10, 600),
  { begins: ['hooks.slack.com/services/'], follows: [run(/[\w/]/, 20, 200)], secretRun: 0 },
  // Packages and images
  apart('npm_', plain, 36, 36),
  apart('pypi-AgE', dashed, 50),
  apart('rubygems_', hex, 48, 48),
  apart('dckr_pat_ dckr_oat_', dashed, 20, 200),
  // Models
  apart('sk-', plain, 32, 300),
  apart('sk-proj- sk-svcacct- sk-admin- sk-ant- sk-or-v1-', dashed, 20, 400),
  apart('hf_', plain, 34, 60),
  apart('gsk_ xai- r8_', plain, 36, 100),
  // Fly, Tailscale and others that deploy
  { begins: ['FlyV1 '], follows: [run(/[\w+/=,-]/, 20)] },
  { begins: ['fm1r_', 'fm1a_', 'fm2_', 'fo1_'], follows: [run(/[\w+/=-]/, 20)], apart: true },
  apart('tskey-', dashed, 16, 200),
  apart('nfp_ sbp_', plain, 36, 60),
  apart('pscale_tkn_ pscale_pw_ pscale_oauth_', /[\w.-]/, 32, 64),
  apart('hvs. hvb. hvr.', dashed, 24, 300),
  apart('dp.st. dp.pt. dp.ct. dp.sa.', /[\w.-]/, 40, 100),
  apart('pul-', hex, 40, 40),
  // Mail, logs and metrics
  apart('SG.', /[\w.-]/, 60, 80),
  apart('glc_ glsa_', /[\w+/=]/, 32, 400),
  apart('sntrys_ sntryu_', /[\w+/=]/, 40, 400),
  apart('NRAK-', /[A-Z0-9]/, 27, 27),
  apart('PMAK-', dashed, 59, 59),
  apart('lin_api_ ntn_', plain, 40, 60),
  // Keys and signed tokens
  apart('AGE-SECRET-KEY-1', /[A-Z0-9]/, 58, 58),
  { begins: ['eyJ'], follows: [run(/[\w-]/, 5, 4000), ...exactly('.eyJ'), run(/[\w.-]/, 1)] },
  {
    begins: keyKinds.map((kind) => `-----BEGIN ${kind}PRIVATE KEY-----`),
    follows: [run(/[\w+/=\\:,\s-]/, 0, 32_768)],
    until: 'PRIVATE KEY-----',
  },
  {
    begins: ['-----BEGIN PGP PRIVATE KEY BLOCK-----'],
    follows: [run(/[\w+/=\\:,\s.()@<>-]/, 0, 32_768)],
    until: 'PRIVATE KEY BLOCK-----',
  },
  // scheme://user:password@host: the password. A raw @, / or space ends it, as in RFC 3986.
  {
    begins: ['://'],
    follows: [
      run(/[^\s:@/?#"'<>]/, 0, 256),
      ...exactly(':'),
      run(/[^\s@/?#"'<>]/, 1, 1024),
      ...exactly('@'),
    ],
    secretRun: 2,
  },
]
