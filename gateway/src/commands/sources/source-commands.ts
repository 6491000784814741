import type { SourceChanges } from '#api/sources/changes.ts'
import type { Principal } from '../../callers/principal.ts'

/** A source as one tar archive. `name`: of the file. */
export type SourceArchive = {
  name: string
  bytes: number
  /** Throws `source-changed` where a file is not as it was sent. */
  read(): AsyncGenerator<Buffer, void>
}

/** The source of a deployment, as long as it is kept. Each throws `source-gone` after that. */
export type SourceCommands = {
  /** Throws `no-source` for a deployment of an image. */
  archive(caller: Principal, id: string): Promise<SourceArchive>
  /** How it differs from the source that was live for its target before. */
  compare(caller: Principal, id: string): Promise<SourceChanges>
}
