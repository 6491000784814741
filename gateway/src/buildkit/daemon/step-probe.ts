/**
 * Looks for what a build step must not find: sockets, devices, and kernel files that it can read or
 * write. The network has its own check. It is a script for busybox's shell (`b` is busybox), and
 * runs as root in a step.
 */
export const probeScript = String.raw`
found() { echo "found $*"; }
control() { echo "control $1"; }

# Sockets: with one of its own first, that both ways of looking must show.
$b syslogd -n -O /dev/null & own=$!
for n in 1 2 3 4 5 6 7 8 9; do [ -S /dev/log ] && break; $b sleep 0.05; done
$b find / \( -path /proc -o -path /sys \) -prune -o -type s -print | while read -r path; do
  [ "$path" = /dev/log ] && control sockets || found socket "$path"
done
$b awk 'NR > 1 && NF > 7 { print $8 }' /proc/net/unix | while read -r name; do
  [ "$name" = /dev/log ] && control names || found socket "$name"
done
[ ! -e /dev/otel-grpc.sock ] || found socket /dev/otel-grpc.sock
$b kill $own

# Devices: those that are there, and those that it can make itself.
$b find /dev \( -type b -o -type c \) | while read -r path; do
  case $path in
    /dev/null | /dev/zero | /dev/full | /dev/random | /dev/urandom | /dev/tty | /dev/console | /dev/ptmx | /dev/pts/*) ;;
    *) found device "$path" ;;
  esac
done
opens() { (: < "$1") 2> /dev/null; }
opens /dev/zero && control devices
try_device() {
  $b mknod "/node-$1" "$2" "$3" "$4" 2> /dev/null || return
  opens "/node-$1" && found device "$1"
  $b rm "/node-$1"
}
while read -r name node; do try_device $name $node; done << END
mem c 1 1
kmem c 1 2
port c 1 4
kmsg c 1 11
loop-control c 10 237
fuse c 10 229
kvm c 10 232
loop0 b 7 0
END
$b awk 'NR > 2 { print $4, $1, $2 }' /proc/partitions | while read -r name major minor; do
  try_device "$name" b "$major" "$minor"
done

# Files of the kernel.
for file in /proc/kcore /proc/keys /proc/timer_list; do
  [ -z "$($b head -c 4 $file 2> /dev/null)" ] || found 'file to read' $file
done
[ -z "$($b head -c 4 /proc/version)" ] || control reading
writes() { [ -e "$1" ] && (: >> "$1") 2> /dev/null; }
for file in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/irq/default_smp_affinity \
  /sys/power/state /sys/kernel/mm/transparent_hugepage/enabled /sys/kernel/profiling /sys/module/kernel/parameters/panic; do
  writes $file && found 'file to write' $file
done
echo > /own; writes /own && control writing
while read -r _ folder kind options _; do
  case $kind in
    cgroup | cgroup2 | sysfs | securityfs | debugfs | tracefs | bpf | configfs | efivarfs | pstore)
      case ,$options, in *,rw,*) found 'file system to write' "$folder" ;; esac
      $b mkdir "$folder/tarmac-canary" 2> /dev/null && $b rmdir "$folder/tarmac-canary" && found 'folder to write' "$folder" ;;
    proc) control mounts ;;
  esac
done < /proc/self/mounts
$b mkdir /mount && $b mount -t tmpfs none /mount 2> /dev/null && found 'right to' mount
$b unshare -m $b true 2> /dev/null && found 'right to' 'make namespaces'

limit() { for file; do [ ! -r $file ] || $b head -n 1 $file; done | $b tail -n 1; }
echo "limited $(limit /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max) $(limit /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max)"
echo 'looked around'
`

const controls = ['sockets', 'names', 'devices', 'reading', 'writing', 'mounts']

export type Found = {
  /** For example `socket /dev/otel-grpc.sock` or `device vda`. */
  things: string[]
  /** Whether the step has limits for memory and processes. */
  limited: boolean
}

/**
 * Parses the script's output. Null if the script did not finish, or if one of its controls missed
 * something that exists.
 */
export function readProbe(lines: readonly string[]): Found | null {
  const after = (word: string) =>
    lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []))
  const seen = after('control')
  if (!lines.includes('looked around') || !controls.every((control) => seen.includes(control)))
    return null
  const [memory = '', processes = ''] = after('limited')[0]?.split(' ') ?? []
  // Without a limit, v1 reports a number near 2^63, and v2 reports `max`.
  const limited = Number(memory) < 2 ** 60 && Number(processes) > 0
  return { things: [...new Set(after('found'))], limited }
}
