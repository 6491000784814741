/**
 * Packs Go for the stand-in builder image. The toolchain is a Go module, which Go verifies with its
 * checksum database.
 */
import { rm } from 'node:fs/promises'
import { bakedTools, goToolchainSum } from '../pins.ts'
import { findGo } from './go-tools.ts'
import type { Step } from './progress.ts'

/** Parts that no build of an app needs: the sources of Go's own commands, and tests. */
const unneeded = ['./src/cmd', '*_test.go', 'testdata']

/**
 * Writes the toolchain to `target`, a tar.gz. It stays packed in the image, because every lab pulls
 * the image, and few of them build Go.
 */
export async function packGoToolchain(target: string, step: Step): Promise<void> {
  const go = await findGo(step)
  const module = `golang.org/toolchain@v0.0.1-go${bakedTools.go}.linux-amd64`
  step.say(`fetching ${module}`)
  const modules = `${target}-modules`
  const env = { GOMODCACHE: modules, GOFLAGS: '-modcacherw', GOTOOLCHAIN: 'local', GOWORK: 'off' }
  const printed = await step.run([go, 'mod', 'download', '-json', module], { cwd: '/', env })
  const { Dir, Sum } = JSON.parse(printed) as { Dir: string; Sum: string }
  if (Sum !== goToolchainSum) throw new Error(`${module} is not what lab/pins.ts says: ${Sum}`)

  const excluded = unneeded.map((pattern) => `--exclude=${pattern}`)
  // Modules keep no x bits.
  const pack = ['tar', '--create', '--sort=name', '--mode=0755', '--owner=0', '--group=0']
  const compress = '--use-compress-program=gzip -1'
  await step.run([...pack, compress, '--file', target, '--directory', Dir, ...excluded, '.'])
  await rm(modules, { recursive: true })
}
