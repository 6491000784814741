/** What a lab has on this machine outside its folder, and what of it is still there afterwards. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Podman } from '../../lab/localfly/podman.ts'
import { labName } from '../../lab/sweep.ts'

const run = promisify(execFile)

type Traces = Awaited<ReturnType<typeof recordTraces>>

export async function recordTraces(dir: string) {
  const machineBridge = new Podman({ dir, name: labName(dir) }).bridge
  const folders = [dir, `/run/tarmac/${machineBridge.slice(3)}`]
  const { subnets } = await readJson<{ subnets: { subnet: string }[] }>(
    join(dir, 'podman/networks/lab.json'),
  )
  const { name: buildBridge, subnet } = await readJson<{ name: string; subnet: string }>(
    join(dir, 'bridge.json'),
  )
  const found = await processes(folders)
  return {
    folders,
    processes: found.map(({ command }) => command),
    bridges: [machineBridge, buildBridge],
    /** Prefixes such as `10.1.2.` */
    subnets: [...subnets.map(({ subnet }) => subnet), subnet].map((subnet) =>
      subnet.replace(/0\/24$/, ''),
    ),
    /** The folders that hold the network namespaces of its containers. */
    namespaces: await namespacesBelow(found.map(({ pid }) => pid)),
  }
}

/** Returns one line for each thing that is still there. */
export async function leftOf({ folders, bridges, subnets, namespaces }: Traces): Promise<string[]> {
  const lines = async (command: string, ...args: string[]) =>
    (await run(command, args)).stdout.split('\n')
  const holds = (words: string[]) => (line: string) => words.some((word) => line.includes(word))
  const running = (await processes(folders)).map(({ pid, command }) => `process ${pid} ${command}`)
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .filter(holds([...folders, ...namespaces]))
  const links = (await lines('ip', '-oneline', 'link')).filter(holds(bridges))
  const rules = (await lines('nft', 'list', 'ruleset')).filter(holds([...bridges, ...subnets]))
  const reserved = await readdir('/var/lib/cni/networks/buildkit').catch(() => [])
  return [
    ...running,
    ...mounts.map((mount) => `mount ${mount}`),
    ...links.map((link) => `link ${link}`),
    ...rules.map((rule) => `firewall ${rule.trim()}`),
    ...reserved.filter((address) => subnets.some((subnet) => address.startsWith(subnet))),
    ...folders.slice(1).filter((folder) => existsSync(folder)),
  ]
}

async function processes(words: string[]): Promise<{ pid: string; command: string }[]> {
  const pids = (await readdir('/proc')).filter(
    (name) => /^\d+$/.test(name) && name !== String(process.pid),
  )
  const all = await Promise.all(
    pids.map(async (pid) => {
      const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll(
        '\0',
        ' ',
      )
      return { pid, command }
    }),
  )
  return all.filter(({ command }) => words.some((word) => command.includes(word)))
}

/** The paths that keep the network namespaces of these processes' containers. */
async function namespacesBelow(pids: string[]): Promise<string[]> {
  const own = await readlink('/proc/self/ns/net')
  const of = async (pid: string) => {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
    return Promise.all(
      children
        .split(' ')
        .filter(Boolean)
        .map((child) => readlink(`/proc/${child}/ns/net`).catch(() => own)),
    )
  }
  const namespaces = new Set(
    (await Promise.all(pids.map(of))).flat().filter((namespace) => namespace !== own),
  )
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' '))
  return mounts.flatMap(([, , , root, path]) => (namespaces.has(root!) ? [path!] : []))
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T
}
