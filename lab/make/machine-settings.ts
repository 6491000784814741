/**
 * How this machine reaches its package registries: mirrors, proxies, certificates. Build steps see no environment of
 * their base image, so the images get it by file. Asked when an image is made, and kept nowhere else.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { caBundle } from '../ready.ts'

const run = promisify(execFile)
const proxy = process.env['https_proxy'] ?? process.env['HTTPS_PROXY']
const httpProxy = process.env['http_proxy'] ?? process.env['HTTP_PROXY']

/** npm's global settings. */
export async function npmrc(): Promise<string> {
  const all = JSON.parse((await outputOf('npm', ['config', 'list', '--json'])) || '{}') as Record<
    string,
    unknown
  >
  const settings: Record<string, unknown> = {
    registry: all['registry'],
    'https-proxy': all['https-proxy'] ?? proxy,
  }
  settings['proxy'] = all['proxy'] ?? httpProxy
  return lines({ ...settings, cafile: caBundle })
}

/** pip's settings for all users. */
export async function pipConf(): Promise<string> {
  const settings: Record<string, unknown> = { cert: caBundle, proxy }
  for (const line of (await outputOf('python3', ['-m', 'pip', 'config', 'list'])).split('\n')) {
    const [, name, value] =
      /\.(index-url|extra-index-url|trusted-host|proxy)='(.*)'$/.exec(line) ?? []
    if (name !== undefined) settings[name] = value
  }
  return `[global]\n${lines(settings)}`
}

/** Go's settings for root. Go's own defaults where this machine has no Go. */
export async function goEnv(): Promise<string> {
  const names = ['GOPROXY', 'GOSUMDB', 'GONOSUMDB']
  const known = (await outputOf('go', ['env', ...names])).split('\n')
  const value = (name: string, at: number) => known[at] || process.env[name] || undefined
  const settings = Object.fromEntries(names.map((name, at) => [name, value(name, at)]))
  return lines({ ...settings, GOPROXY: settings['GOPROXY'] ?? 'https://proxy.golang.org,direct' })
}

/** apt's proxies; and no translations of package descriptions, which nobody reads in an image. */
export async function aptConf(): Promise<string> {
  const dump = await outputOf('apt-config', ['dump'])
  const proxies = dump.split('\n').filter((line) => /^Acquire::https?::Proxy/i.test(line))
  return ['Acquire::Languages "none";', ...proxies, ''].join('\n')
}

/** The Debian mirror that this machine itself uses; none (debootstrap then takes its own) when it is not a Debian. */
export async function debianMirror(): Promise<string[]> {
  const format = '$(REPO_URI) $(RELEASE)'
  const targets = await outputOf('apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
    'Origin: Debian',
  ])
  const main = targets.split('\n').find((line) => /^\S+ [a-z]+$/.test(line))
  return main === undefined ? [] : [main.split(' ')[0] ?? '']
}

/** A program that is not here knows nothing to copy. */
async function outputOf(program: string, args: string[]): Promise<string> {
  return run(program, args).then(
    ({ stdout }) => stdout,
    () => '',
  )
}

function lines(settings: Record<string, unknown>): string {
  return Object.entries(settings)
    .filter(([, value]) => typeof value === 'string')
    .map(([name, value]) => `${name}=${String(value)}\n`)
    .join('')
}
