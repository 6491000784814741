import { parse, TomlDate } from 'smol-toml'
import type { DeploymentOptions } from '../../api/options.ts'
import { withLastApplied } from '../../gateway/src/deploy/config/restore-config.ts'
import { findConfig } from '../../gateway/src/deploy/config/config-file.ts'
import { desiredApp, forOwner } from '../../gateway/src/deploy/config/desired.ts'
import { baseConfig } from '../../gateway/src/flytoml/base-config.ts'
import { parseDuration } from '../../gateway/src/go/duration.ts'
import { goText } from '../../gateway/src/flytoml/go-format.ts'
import { parseConfig } from '../../gateway/src/flytoml/formats/parse-config.ts'
import { dateText, plain } from '../../gateway/src/flytoml/formats/parse-toml.ts'
import { patchToml } from '../../gateway/src/flytoml/legacy-syntax.ts'
import { refuseForFly } from '../../gateway/src/flytoml/fly-limits.ts'
import { readFlyConfig, readFlyToml } from '../../gateway/src/flytoml/read-fly-toml.ts'
import {
  isReserved,
  refuseEnvNames,
  refuseReservedGroups,
  refuseReservedMetadata,
} from '../../gateway/src/flytoml/reserved.ts'
import { isDeeperThan, tomlParts, yamlParts } from '../../gateway/src/flytoml/formats/toml-size.ts'
import { shellText } from '../../gateway/src/go/shell-words.ts'
import { sizeBytes, sizeIn } from '../../gateway/src/flytoml/size.ts'
import { mergeConfig } from '../../gateway/src/deploy/config/merge-config.ts'
import { planRollout } from '../../gateway/src/deploy/plan.ts'
import { hostileTexts, listed, repeated, type Shapes } from './growth.ts'

const options = {
  env: {},
  count: null,
  owner: null,
  region: null,
  strategy: null,
  ha: false,
} as DeploymentOptions
const desiredOf = (flyToml: string) =>
  desiredApp({ flyToml, app: 'a', options, defaults: { region: 'fra' } })
const readToml = (text: string) =>
  readFlyToml(
    text,
    () => null,
    () => {},
  )
const toml = (text: string) => parseConfig(text, 'fly.toml')
const yaml = (text: string) =>
  readFlyConfig(
    text,
    () => null,
    () => {},
    'fly.yaml',
  )
/** Shapes of one kind beside others of the same names. */
const labelled = (label: string, shapes: Shapes): Shapes =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [`${label}: ${name}`, shape]))
/** A whole file, read as before a build. */
const file = (make: (size: number) => string) => (size: number) => {
  const text = make(size)
  return () => desiredOf(text)
}
const lines = (charsEach: number, line: (at: number) => string) => (size: number) =>
  listed(size, charsEach, line).join('\n')
const quoted = (text: string) => JSON.stringify(text).replaceAll('\\u0000', ' ')
const names = (size: number) =>
  Object.fromEntries(listed(size, 12, (at) => `A${at}`).map((name) => [name, 'a']))
const treeWith = (paths: string[]) => ({
  root: '/nowhere',
  digest: '',
  files: paths.length,
  sizeBytes: 0,
  entries: paths.map((path) => ({ type: 'link' as const, path, target: '' })),
})
const image = { reference: 'a', digest: '', tags: [] }
const marks = { image, deployment: 'a', number: 1, owner: null, builder: null }

export const flyToml: Record<string, Shapes> = {
  'gateway/src/flytoml/formats/toml-size.ts › isDeeperThan': {
    'lists in lists': (size) => {
      const value: unknown = JSON.parse('['.repeat(size / 2) + ']'.repeat(size / 2))
      return () => [isDeeperThan(value, 100), isDeeperThan(value, Infinity)]
    },
  },
  'gateway/src/flytoml/fly-limits.ts › refuseForFly': {
    ...hostileTexts((source) => refuseForFly({ mounts: [{ source, destination: '/d' }] }, ['app'])),
    'many mounts': (size) => {
      const mounts = listed(size, 40, (at) => ({
        source: 'a',
        destination: '/d',
        processes: [`a${at}`],
      }))
      return () => refuseForFly({ mounts }, [])
    },
  },
  'gateway/src/flytoml/reserved.ts › isReserved': hostileTexts(isReserved),
  'gateway/src/flytoml/reserved.ts › refuseReservedMetadata': hostileTexts((name) =>
    refuseReservedMetadata('a', { [name]: name }),
  ),
  'gateway/src/flytoml/reserved.ts › refuseReservedGroups': hostileTexts((name) =>
    refuseReservedGroups([name]),
  ),
  'gateway/src/flytoml/reserved.ts › refuseEnvNames': hostileTexts((name) =>
    refuseEnvNames({ [name]: name }),
  ),
  'gateway/src/flytoml/formats/toml-size.ts › tomlParts': hostileTexts(tomlParts),
  'gateway/src/flytoml/formats/toml-size.ts › yamlParts': hostileTexts(yamlParts),
  'gateway/src/go/duration.ts › parseDuration': {
    ...hostileTexts(parseDuration),
    ...hostileTexts(parseDuration, (text) => `1${text}`),
    'many digits with a unit': (size) => () => parseDuration(`${repeated('9', size)}s`),
    'many zeros with a unit': (size) => () => parseDuration(`${repeated('0', size)}1s`),
    'a long fraction': (size) => () => parseDuration(`0.${repeated('9', size)}s`),
    'many parts': (size) => () => parseDuration(repeated('1ns', size)),
  },
  'gateway/src/flytoml/size.ts › sizeBytes': {
    ...hostileTexts((text) => sizeBytes(text, 1024)),
    ...hostileTexts((text) => sizeBytes(`1.${text}`, 1024)),
  },
  'gateway/src/flytoml/size.ts › sizeIn': hostileTexts((text) => sizeIn(text, 1e9)),
  'gateway/src/flytoml/go-format.ts › goText': {
    'a wide list': (size) => {
      const list = listed(size, 4, (at) => `${at}`)
      return () => goText(list)
    },
    'lists in lists': (size) => {
      const list = listed(size, 200, () => '').map((): unknown =>
        JSON.parse('['.repeat(90) + ']'.repeat(90)),
      )
      return () => goText(list)
    },
    dates: (size) => {
      const list = listed(size, 20, () => '').map(
        () => new TomlDate('2026-01-01T10:00:00.120+01:00'),
      )
      return () => goText(list)
    },
  },
  'gateway/src/flytoml/formats/parse-toml.ts › dateText': {
    'a long fraction': (size) => () => {
      const { a } = parse(`a = 2026-01-01T10:00:00.${repeated('0', size)}1Z`) as { a: TomlDate }
      return dateText(a)
    },
  },
  'gateway/src/flytoml/formats/parse-config.ts › parseConfig': {
    ...hostileTexts(toml),
    ...hostileTexts(toml, (text) => `a = ${text}`),
    ...hostileTexts(toml, (text) => `[${text}]`),
    ...hostileTexts(toml, (text) => `a = ${quoted(text)}`),
    'dotted keys': (size) => () => toml(`${repeated('a.', size)}a = 1`),
    'lists in lists': (size) => () => toml(`a = ${'['.repeat(size / 2)}${']'.repeat(size / 2)}`),
    'tables in tables': (size) => () =>
      toml(`a = ${'{a='.repeat(size / 4)}1${'}'.repeat(size / 4)}`),
    'many tables': (size) => () => toml(listed(size, 8, (at) => `[t${at}]`).join('\n')),
    'many tables in a list': (size) => () => toml(repeated('[[a.b]]\n', size)),
    'deeper and deeper tables': (size) => () =>
      toml(Array.from({ length: Math.sqrt(size) }, (_, at) => `[${'a.'.repeat(at)}a]`).join('\n')),
    ...hostileTexts((text) => parseConfig(`{"a": ${text}}`, 'fly.json')),
    'a long name of a file': (size) => () => parseConfig('', repeated('.yaml', size)),
    'long names in each other': (size) => () =>
      parseConfig(
        `{"${repeated('a', size)}": {${listed(size, 10, (at) => `"${at}": 1`).join()}}}`,
        'fly.json',
      ),
  },
  'gateway/src/flytoml/formats/parse-toml.ts › plain': {
    'long names in each other': (size) => {
      const value = {
        [repeated('a', size)]: Object.fromEntries(listed(size, 10, (at) => `${at}`).entries()),
      }
      return () => plain(value)
    },
  },
  'gateway/src/flytoml/legacy-syntax.ts › patchToml': {
    ...hostileTexts((text) =>
      patchToml({ services: [{ concurrency: text, internal_port: text }] }),
    ),
    ...hostileTexts((text) =>
      patchToml({ env: { a: text }, processes: [{ name: text, command: text }] }),
    ),
    'many services': (size) => {
      const services = listed(size, 20, () => '').map(() => ({
        internal_port: '80',
        tcp_checks: [{}],
      }))
      return () => patchToml({ services })
    },
  },
  'gateway/src/go/shell-words.ts › shellText': {
    ...hostileTexts((text) => shellText([text])),
    ...hostileTexts((text) => shellText(text.split(''))),
  },
  'gateway/src/flytoml/base-config.ts › baseConfig': {
    ...hostileTexts((text) =>
      baseConfig(
        { machine_config: `{"a": ${text}` },
        () => null,
        () => undefined,
      ),
    ),
    'lists in lists': (size) => () =>
      baseConfig(
        { machine_config: `{"containers": ${'['.repeat(size / 2)}${']'.repeat(size / 2)}}` },
        () => null,
        () => undefined,
      ),
    'many containers': (size) => () =>
      baseConfig(
        {
          machine_config: JSON.stringify({
            containers: listed(size, 30, (at) => `${at}`).map((name) => ({ name, image: name })),
          }),
        },
        () => null,
        () => undefined,
      ),
  },
  'gateway/src/flytoml/read-fly-toml.ts › readFlyToml': {
    ...hostileTexts(readToml, (text) => `kill_timeout = ${quoted(text)}`),
    ...hostileTexts(readToml, (text) => `[[vm]]\nmemory = ${quoted(text)}`),
    ...hostileTexts(readToml, (text) => `[processes]\na = ${quoted(text)}`),
    ...hostileTexts(readToml, (text) => `[${quoted(text)}]`),
    'a long name with many unknown fields': file(
      (size) => `[checks.${repeated('a', size)}]\n${lines(12, (at) => `b${at} = 1`)(size)}`,
    ),
  },
  'gateway/src/flytoml/read-fly-toml.ts › readFlyConfig': {
    ...labelled('YAML', hostileTexts(yaml)),
    ...labelled(
      'YAML value 0',
      hostileTexts(yaml, (text) => `a: ${text}`),
    ),
    ...labelled(
      'YAML value 1',
      hostileTexts(yaml, (text) => `a: ${quoted(text)}`),
    ),
    ...labelled(
      'YAML value 2',
      hostileTexts(yaml, (text) => `a: |\n  ${text}`),
    ),
    'a row of anchors in a list of YAML': (size) => () => yaml(`[${repeated('&a ', size)}`),
    'a row of tags in a list of YAML': (size) => () => yaml(`[${repeated('!a ', size)}`),
    'many ends of a list of YAML': (size) => () => yaml(`[${repeated('}', size)}`),
    'many lines of YAML': (size) => () => yaml(lines(8, (at) => `a${at}: 1`)(size)),
    'many items of YAML': (size) => () => yaml(`a: [${lines(8, (at) => `${at},`)(size)}]`),
    'lists in lists of YAML': (size) => () =>
      yaml(`a: ${'['.repeat(size / 2)}${']'.repeat(size / 2)}`),
    'many aliases': (size) => () => yaml(`a: &a 1\nb: [${repeated('*a, ', size)}]`),
    'many mounts': (size) => () =>
      readFlyConfig(
        lines(
          60,
          (at) => `[[mounts]]\nsource = "a"\ndestination = "/a"\nprocesses = ["a${at}"]`,
        )(size),
        () => null,
        () => {},
        'fly.toml',
      ),
  },
  'gateway/src/deploy/config/config-file.ts › findConfig': {
    ...hostileTexts((text) => findConfig(treeWith([]), text)),
    ...hostileTexts((text) => findConfig(treeWith([`fly.${text}`]), null)),
    'many files': (size) => {
      const tree = treeWith(listed(size, 12, (at) => `fly.a${at}.toml`).toSorted())
      return () => findConfig(tree, null)
    },
  },
  'gateway/src/deploy/config/desired.ts › desiredApp': {
    'many process groups': file(
      (size) => `[processes]\n${lines(12, (at) => `a${at} = "b"`)(size)}`,
    ),
    'many process groups and services': file(
      (size) =>
        `${repeated('[[services]]\nprocesses = ["a1"]\n', size)}\n[processes]\n${lines(12, (at) => `a${at} = "b"`)(size)}`,
    ),
    'a service for many groups': file(
      (size) =>
        `[[services]]\nprocesses = [${lines(8, (at) => `"a${at}",`)(size)}]\n[processes]\n${lines(12, (at) => `a${at} = "b"`)(size)}`,
    ),
    'many services': file((size) => repeated('[[services]]\ninternal_port = 80\n', size)),
    'many checks': file((size) =>
      lines(40, (at) => `[checks.a${at}]\ntype = "tcp"\nport = 80`)(size),
    ),
    'many mounts': file((size) => lines(40, (at) => `[[mounts]]\nsource = "a${at}"`)(size)),
    'many files': file((size) =>
      lines(40, (at) => `[[files]]\nguest_path = "/a${at}"\nsecret_name = "A"`)(size),
    ),
    'many unknown sections': file((size) => lines(8, (at) => `[t${at}]`)(size)),
    'much env': file((size) => `[env]\n${lines(10, (at) => `A${at} = 1`)(size)}`),
  },
  'gateway/src/deploy/config/desired.ts › forOwner': hostileTexts((name) =>
    forOwner({ ...desiredOf(''), volumes: { [name]: { size_gb: 1 } } }, { ...options, owner: 'a' }),
  ),
  'gateway/src/deploy/config/merge-config.ts › mergeConfig': {
    'much env and metadata': (size) => {
      const env = names(size)
      const present = { env, metadata: { ...env, tarmac_env: Object.keys(env).join() } }
      const removedPaths = Object.keys(env).flatMap((name) => [
        `metadata.${name}`,
        `init.${name}`,
        name,
      ])
      return () => mergeConfig(present, { config: { env, metadata: env }, removedPaths }, marks)
    },
  },
  'gateway/src/deploy/config/restore-config.ts › withLastApplied': {
    'much metadata': (size) => {
      const metadata = names(size)
      return () => withLastApplied(desiredOf(''), { app: { ...metadata, metadata } })
    },
  },
  'gateway/src/deploy/plan.ts › planRollout': hostileTexts((name) => {
    const desired = desiredOf('')
    const groups = desired.groups.map((group) => ({ ...group, name }))
    return planRollout({ id: 'a', number: 1, options, desired: { ...desired, groups } }, [])
  }),
}
