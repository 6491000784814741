import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { graceWarnings } from '../../../../gateway/src/deploy/config/contradictions.ts'
import { desiredApp } from '../../../../gateway/src/deploy/config/desired.ts'

const desired = (flyToml: string, env: Record<string, string> = {}) =>
  desiredApp({
    flyToml,
    app: 'web',
    options: DeploymentOptions.parse({ env }),
    defaults: { region: 'fra' },
  })
const service = '[http_service]\ninternal_port = 8080\n'

test('a PORT that no service uses is a warning before the build', () => {
  const text =
    'The variable PORT of group app is 10000, and internal_port is 8080. An app that listens on PORT cannot be reached. Make both the same, or leave PORT out: the gateway sets it to internal_port.'
  expect(desired(`[env]\nPORT = 10000\n${service}`).warnings).toEqual([text])
  expect(desired(service, { PORT: '10000' }).warnings).toEqual([text])
  expect(desired(service, { PORT: '8080' }).warnings).toEqual([])
  expect(desired(service).warnings).toEqual([])
  const second = '[[services]]\nprotocol = "tcp"\ninternal_port = 10000\n'
  for (const fine of [service + second, '[processes]\nworker = "w"\n'])
    expect(desired(`[env]\nPORT = 10000\n${fine}`).warnings.join()).not.toContain('PORT')
})

test('a grace period as long as the wait is a warning before the build', () => {
  const check = (grace: string) =>
    desired(`${service}[[http_service.checks]]\npath = "/"\ngrace_period = "${grace}"\n`)
  expect(graceWarnings(check('2m'), 60_000)).toEqual([
    'A check of group app has a grace_period of 120 s, and the gateway waits 60 s for its result: the deploy will fail. Make grace_period shorter, or [deploy] wait_timeout longer.',
  ])
  expect(graceWarnings(check('59s'), 60_000)).toEqual([])
  expect(graceWarnings(desired(service), 60_000)).toEqual([])
})

test('a kill_signal that Fly does not take is a warning before the build', () => {
  expect(desired(`kill_signal = "SIGFOO"\n${service}`).warnings).toEqual([
    'kill_signal of group app is SIGFOO, which Fly does not take: it will refuse the machines. Fly takes SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, SIGTERM.',
  ])
  expect(desired(`kill_signal = "SIGTERM"\n${service}`).warnings).toEqual([])
})

test('memory that Fly does not sell with these CPUs is a warning before the build', () => {
  const warnings = (vm: string) => desired(`${service}[[vm]]\n${vm}\n`).warnings
  expect(warnings('size = "shared-cpu-4x"\nmemory = "512mb"')).toEqual([
    'Group app asks for 512 MiB of memory and 4 shared CPUs, which Fly does not take: it will refuse the machines. Fly takes 1024 to 8192 MiB for that, in steps of 256 MiB.',
  ])
  for (const odd of ['100mb', '300mb', '4gb'])
    expect(warnings(`memory = "${odd}"`).join()).toContain('1 shared CPU, which')
  expect(warnings('memory = "300mb"').join()).toMatch(
    /steps of 256 MiB: 256 or 512, for example\.$/,
  )
  expect(warnings('cpu_kind = "performance"\nmemory = "2304mb"').join()).toContain('2048 or 3072')
  expect(warnings('cpus = 3\nmemory = "1gb"').join()).toContain('1, 2, 4, 6, 8 shared CPUs')
  expect(warnings('cpu_kind = "performance"\nmemory = "1gb"').join()).toContain('2048 to 8192 MiB')
  for (const fine of ['memory = "2gb"', 'size = "performance-1x"', 'size = "l40s"', ''])
    expect(warnings(fine)).toEqual([])
})
