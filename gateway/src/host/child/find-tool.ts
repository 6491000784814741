import { existsSync } from 'node:fs'

/** The absolute path of a tool of this machine. Undefined if it is not installed. */
export const findTool = (name: string): string | undefined =>
  [`/usr/bin/${name}`, `/bin/${name}`].find((path) => existsSync(path))
