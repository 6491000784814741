import { byteOrder } from '../../go/byte-order.ts'
import { copy, exec, image, mkfile, scratch } from '../../llb/graph.ts'
import type { Mount } from '../../llb/graph.ts'
import type { RailpackPlan, Step } from '../plan-schema.ts'
import { shellWords } from '../../go/shell-words.ts'

/** The platform of this machine: the helper below runs here, whatever the image's platform is. */
const builderPlatform = { OS: 'linux', Architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' }

/**
 * A file that is mounted into the commands of a step with secrets, so that they run again when a
 * secret changes. For `*` it is the hash of all secrets. Otherwise it is a hash of only the listed
 * secrets, which a helper step computes from their values.
 */
export function secretsHashMounts(plan: RailpackPlan, step: Step, secretsHash: string): Mount[] {
  if (step.secrets.length === 0 || secretsHash === '') return []
  const all = mkfile(
    scratch,
    { path: '/secrets-hash', mode: 0o644, data: secretsHash },
    '[railpack] secrets hash',
  )
  if (step.secrets.includes('*')) return [{ dest: '/secrets-hash', from: all }]

  const file = { src: '/secrets-hash', dest: '/secrets-hash' }
  const usedFile = { src: '/used-secrets-hash', dest: '/used-secrets-hash' }
  const values = step.secrets.toSorted(byteOrder).map((name) => `$${name}`)
  const command = `sh -c 'echo "${values.join(' ')}" | sha256sum > ${usedFile.dest}'`
  const helper = image(
    'docker.io/library/alpine:latest',
    builderPlatform,
    '[railpack] loading secrets',
  )
  const ready = copy(helper, all, file, '[railpack] copy secrets hash')
  const run = {
    args: shellWords(command).words,
    cwd: '/',
    secrets: plan.secrets,
    platform: builderPlatform,
  }
  const hashed = exec(ready, run, '[railpack] hash used secrets')
  return [
    {
      dest: usedFile.dest,
      from: copy(scratch, hashed, usedFile, '[railpack] copy used secrets hash'),
    },
  ]
}
