import { readdir, readFile, readlink } from 'node:fs/promises'

/**
 * Lists the processes in the pid namespace of a process, with their open ports, as Fly's `ps` does.
 */
export async function processesOf(first: number) {
  const world = await readlink(`/proc/${first}/ns/pid`).catch(() => null)
  if (world === null) return [] // it has just ended
  const sockets = await listening(first)
  const processes = (await readdir('/proc'))
    .filter((name) => /^\d+$/.test(name))
    .map(async (pid) => {
      const proc = `/proc/${pid}`
      if ((await readlink(`${proc}/ns/pid`)) !== world) return null
      const stat = (await readFile(`${proc}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ')
      const status = await readFile(`${proc}/status`, 'utf8')
      const command = (await readFile(`${proc}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim()
      const open = await Promise.all(
        (await readdir(`${proc}/fd`)).map((fd) => readlink(`${proc}/fd/${fd}`).catch(() => '')),
      )
      return {
        pid: Number(/^NSpid:.*\t(\d+)$/m.exec(status)?.[1]),
        command,
        directory: await readlink(`${proc}/cwd`),
        stime: Number(stat[12]),
        rtime: Number(stat[11]),
        cpu: Number(stat[36]),
        rss: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024,
        listen_sockets: sockets
          .filter(({ link }) => open.includes(link))
          .map(({ proto, address }) => ({ proto, address })),
      }
    })
  // Some processes end during the reading.
  const all = await Promise.all(processes.map((each) => each.catch(() => null)))
  return all.filter((each) => each !== null).toSorted((a, b) => a.pid - b.pid)
}

async function listening(pid: number) {
  const found = await Promise.all(
    ['tcp', 'tcp6'].map(async (proto) => {
      const rows = (await readFile(`/proc/${pid}/net/${proto}`, 'utf8')).trim().split('\n').slice(1)
      return rows.flatMap((row) => {
        const [, local = '', , state, , , , , , inode] = row.trim().split(/\s+/)
        const [host = '', port = ''] = local.split(':')
        if (state !== '0A') return []
        return [
          {
            proto,
            link: `socket:[${inode}]`,
            address: `${address(host)}:${Number.parseInt(port, 16)}`,
          },
        ]
      })
    }),
  )
  return found.flat()
}

/** The kernel writes addresses as 32-bit words, each with its last byte first. */
function address(hex: string): string {
  if (/^0+$/.test(hex)) return hex.length === 8 ? '0.0.0.0' : '[::]'
  const bytes = (hex.match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex').swap32())
  if (hex.length === 8) return bytes[0]!.join('.')
  return `[${bytes.flatMap((word) => [word.toString('hex', 0, 2), word.toString('hex', 2, 4)]).join(':')}]`
}
