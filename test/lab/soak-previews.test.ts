import { expect, test } from 'vitest'
import type { Preview } from '../../api/previews/preview.ts'
import { isOver } from '../../lab/soak/previews/limit-oracle.ts'
import { Overdue } from '../../lab/soak/previews/overdue.ts'
import { limits } from '../../lab/soak/previews/world.ts'

type Ended = Pick<Preview, 'state' | 'ending'>
const ready: Ended = { state: 'ready', ending: null }
const replaced: Ended = { state: 'destroying', ending: { why: 'evicted', by: null } }
const asked: Ended = { state: 'destroying', ending: { why: 'asked', by: null } }
const times = (count: number, record: Ended | null) => Array.from({ length: count }, () => record)

test('the soak lets only what was replaced come on top of a team’s limit, and nothing on top of the gateway’s', () => {
  const team = (...more: (Ended | null)[]) =>
    isOver({ kind: 'team', owner: '', records: [...times(limits.team, ready), ...more] })
  expect([team(), team(replaced), team(replaced, replaced)]).toEqual([false, false, false])
  expect([team(asked), team(ready), team(null), team(replaced, asked)]).not.toContain(false)

  const all = [...times(limits.all, ready), replaced]
  expect(isOver({ kind: 'all', owner: '', records: all })).toBe(true)
})

test('the soak lets an owner that replaces previews have twice the limit, and no other', () => {
  const over = (owner: string, count: number) =>
    isOver({ kind: 'owner', owner, records: times(count, ready) })
  expect([over('alice', limits.owner), over('alice', limits.owner + 1)]).toEqual([false, true])
  expect([over('carol', 2 * limits.owner), over('carol', 2 * limits.owner + 1)]).toEqual([
    false,
    true,
  ])
})

test('the soak calls nothing late before it has looked often enough, and then says it', () => {
  const overdue = new Overdue({ ms: 1000, looks: 3 })
  const long = Date.now() - 60_000
  const late = (look: number, since = long) => overdue.isLate('shop-pv-1', since, look)
  expect([late(5), late(7), late(8)]).toEqual([false, false, true])
  // What began again is as new.
  expect(late(9, long + 1)).toBe(false)
  expect(late(20, Date.now() + 1000)).toBe(false)
  expect(new Overdue({ ms: 1000, looks: 0 }).isLate('x', Date.now() - 500, 1)).toBe(false)
})
