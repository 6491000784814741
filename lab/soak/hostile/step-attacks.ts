import { randomUUID } from 'node:crypto'
import { deployHostile } from './answers.ts'
import { filesOf } from './archive.ts'
import type { Attack } from './attack.ts'
import { appOf } from './source-attacks.ts'

/** Attacks by a build step. Each run has its own argument, so that none comes from the cache. */
export const stepAttacks: Record<string, Attack> = {
  'a fork bomb': step(String.raw`bomb() { bomb | bomb & }; bomb; sleep 5; exit 1`),
  'a memory hog': step('tail /dev/zero'),
  'a line of carriage returns': step(String.raw`head -c 1000000 /dev/zero | tr '\0' '\r'; exit 1`),
  'output of 30 MB': step(
    'yes "a line of some length that nobody needs" | head -c 30000000; exit 1',
  ),
  'one line of 5 MB': step(String.raw`head -c 5000000 /dev/zero | tr '\0' 'x'; exit 1`),
  'sequences for a terminal': step(
    String.raw`printf '\033]52;c;eA==\007\033[2J\302\233\n::set-output name=a::b\n'; exit 1`,
  ),
  'a look for sockets': step(
    'for s in $(find / -xdev -type s); do cat < /dev/null | nc "local:$s"; done; exit 1',
  ),
}

function step(command: string): Attack {
  return ({ lab, random }) => {
    const dockerfile = `FROM alpine\nARG FRESH\nRUN : $FRESH; ${command}\n`
    const query = `deploy=false&lane=fifo&build.FRESH=${randomUUID()}`
    return deployHostile(lab, appOf(random), filesOf({ Dockerfile: dockerfile }), query)
  }
}
