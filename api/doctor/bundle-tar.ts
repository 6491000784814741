import { tarEnd, tarHeader, tarPadding } from '../tar-writer.ts'
import type { BundleFiles } from './report.ts'

/** The tar archive of a support bundle. Its files are in one folder. */
export function bundleTar(files: BundleFiles, folder: string, time: Date): Buffer {
  const entries = Object.entries(files).flatMap(([name, text]) => {
    const bytes = Buffer.from(text)
    const path = `${folder}/${name}`
    const header = tarHeader({ type: 'file', path, mode: 0o600, sizeBytes: bytes.length }, time)
    return [header, bytes, tarPadding(bytes.length)]
  })
  return Buffer.concat([...entries, tarEnd])
}
