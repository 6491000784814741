import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { planApp, version } from './plan-app.ts'

/** The stand-in's command line: the part of railpack's that a platform uses. */
const usage =
  'usage: railpack-standin prepare DIRECTORY [--plan-out FILE] [--info-out FILE] [--env NAME[=VALUE]]…'

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      version: { type: 'boolean' },
      verbose: { type: 'boolean' },
      'plan-out': { type: 'string' },
      'info-out': { type: 'string' },
      'show-plan': { type: 'boolean' },
      'hide-pretty-plan': { type: 'boolean' },
      env: { type: 'string', short: 'e', multiple: true, default: [] },
      previous: { type: 'string', multiple: true },
      'build-cmd': { type: 'string', default: '' },
      'start-cmd': { type: 'string', default: '' },
      'config-file': { type: 'string', default: '' },
      'error-missing-start': { type: 'boolean', default: false },
    },
  })
  if (values.version) {
    console.log(`railpack version ${version}`)
    return 0
  }
  const [command, folder] = positionals
  if (command !== 'prepare' || !folder)
    return fail(folder ? usage : `directory argument is required\n${usage}`)
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    return fail(`directory ${resolve(folder)} does not exist`)

  const env = readEnv(values.env)
  if (values.verbose) env['MISE_VERBOSE'] ??= '1'
  const { plan, info } = planApp(resolve(folder), env, {
    buildCmd: values['build-cmd'],
    startCmd: values['start-cmd'],
    configFile: values['config-file'],
    errorMissingStart: values['error-missing-start'],
  })
  if (!values['hide-pretty-plan'])
    for (const { Level, Msg } of info.logs) console.log(`${Level}: ${Msg}`)
  if (plan && values['show-plan']) console.log(JSON.stringify(plan, null, 2))
  if (plan && values['plan-out']) writeJson(values['plan-out'], plan)
  if (values['info-out']) writeJson(values['info-out'], info)
  return plan ? 0 : 1
}

/**
 * `NAME=VALUE`, or a bare NAME with its value in our own environment. `NAME=` is dropped, as in
 * railpack.
 */
function readEnv(words: string[]): Record<string, string> {
  const entries = words.flatMap((word): [string, string][] => {
    const [, name = '', equals, value = ''] = /^([\w+-]*)(=?)([\s\S]*)$/.exec(word) ?? []
    const found = equals ? value || undefined : process.env[name]
    return found === undefined ? [] : [[name, found]]
  })
  return Object.fromEntries(entries)
}

function writeJson(file: string, value: unknown): void {
  mkdirSync(dirname(resolve(file)), { recursive: true })
  writeFileSync(file, JSON.stringify(value, null, 2))
}

function fail(words: string): number {
  console.error(words)
  return 1
}

try {
  process.exitCode = main()
} catch (error) {
  process.exitCode = fail(String(error))
}
