import type { ImageRef } from './image-ref.ts'

/** What runs the machines: podman, and in the fast tests something without containers. */
export interface Containers {
  /** This host's address on the network of the machines. */
  readonly hostAddress: string
  /** All addresses for machines. */
  addresses(): string[]
  /** Passes packets only within each of these networks, given as addresses of machines. */
  separate(networks: string[][]): Promise<void>
  /** Pulls an image by digest unless it exists. Returns the name to run it by. */
  pull(image: ImageRef): Promise<string>
  /** Starts a container and replaces the one with this name. */
  run(spec: RunSpec): Promise<Container>
  /** Resolves when the container's program has ended. */
  exited(container: Container, signal: AbortSignal): Promise<Exit>
  /** Runs a command beside the container's program. Returns null when it takes too long. */
  exec(container: Container, command: string[], timeoutMs: number): Promise<Said | null>
  /** The ports that its programs listen on. Absent or null: the kernel knows, by `pid`. */
  ports?(container: Container): readonly number[] | null
  /** `running`, `paused`, `exited` and so on, or `gone`. */
  status(container: Container): Promise<string>
  isPaused(container: Container): boolean
  /** Returns true when the signal was sent, false when the program had already ended. */
  kill(container: Container, signal: string): Promise<boolean>
  pause(container: Container): Promise<void>
  unpause(container: Container): Promise<void>
  remove(name: string): Promise<void>
}

/** `command`: the entrypoint and the command of its program, as one text. */
export type Container = { id: string; pid: number; command: string }
export type Exit = { code: number; oomKilled: boolean }
export type Mount = { source: string; target: string }
export type Said = { exit_code: number; exit_signal: number; stdout: string; stderr: string }
export type RunSpec = {
  name: string
  image: string
  address: string
  env: Record<string, string>
  cpus: number
  memoryMb: number
  swapMb: number
  tty: boolean
  mounts: Mount[]
  /** Firewall rules inside the machine, in the syntax of nft. They are there before the program. */
  firewall: string | null
  /** The file for the program's output. Earlier content stays. */
  logFile: string
  entrypoint: string[] | undefined
  /** Undefined means the image's own. */
  command: string[] | undefined
}
