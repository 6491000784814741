import { expect, test } from 'vitest'
import {
  cellsOf,
  LogLayout,
  type Place,
} from '../../../../gateway/src/http/dashboard/log/log-layout.ts'
import type { Group } from '../../../../gateway/src/http/dashboard/log/log-model.ts'

const group = (number: number, ...texts: string[]): Group => ({
  number,
  state: null,
  name: `step ${number}`,
  status: 'done',
  startedAt: '2026-01-01T00:00:00.000Z',
  ms: 1,
  lines: texts.map((text) => ({ text, kind: 'output', at: '2026-01-01T00:00:00.000Z' })),
  first: 1,
  count: texts.length,
})
const named = (places: Iterable<Place>) =>
  [...places].map(({ group: { number }, line }) => `${number}:${line}`)

test('each place is found by its row, whether lines wrap or not', () => {
  const long = 'x'.repeat(25)
  const groups = [group(1, 'a', long, ''), group(2, long), group(3, 'b')]
  const closed = new Set([groups[1]])
  const layout = new LogLayout(groups, (each) => !closed.has(each))
  for (const [columns, rows] of [
    [Infinity, ['1:-1', '1:0', '1:1', '1:2', '2:-1', '3:-1', '3:0']],
    [10, ['1:-1', '1:0', '1:1', '1:1', '1:1', '1:2', '2:-1', '3:-1', '3:0']],
    [25, ['1:-1', '1:0', '1:1', '1:2', '2:-1', '3:-1', '3:0']],
  ] as const) {
    layout.wrapAt(columns)
    layout.update()
    expect(layout.count).toBe(rows.length)
    for (const [row, name] of rows.entries())
      expect(named(layout.places(row, row + 1))).toEqual([name])
    expect(named(layout.places(0, 100))).toEqual([...new Set(rows)])
    for (const place of layout.places(0, 100)) {
      const first = rows.findIndex((name) => name === named([place])[0])
      expect([layout.rowOf(place), layout.heightOf(place)]).toEqual([
        first,
        rows.filter((name) => name === named([place])[0]).length,
      ])
    }
  }
})

test('new lines are placed after the earlier ones', () => {
  const groups = [group(1, 'a')]
  const layout = new LogLayout(groups, () => true)
  layout.wrapAt(4)
  layout.update()
  groups[0]!.lines.push(...group(1, 'six cells!').lines)
  groups.push(group(2))
  layout.update()
  expect(layout.count).toBe(6)
  expect(named(layout.places(3, 6))).toEqual(['1:1', '2:-1'])
})

test('lines are measured bit by bit, and count as one row before that', () => {
  const layout = new LogLayout(
    [group(1, ...Array.from({ length: 200 }, () => 'ten  cells'))],
    () => true,
  )
  layout.wrapAt(5)
  layout.update(0)
  expect([layout.isComplete, layout.count]).toEqual([false, 1 + 200])
  expect(named(layout.places(150, 151))).toEqual(['1:149'])
  layout.update()
  expect([layout.isComplete, layout.count]).toEqual([true, 1 + 400])
  layout.wrapAt(20)
  layout.update(0) // measured lines only need the new width
  expect([layout.isComplete, layout.count]).toEqual([true, 1 + 200])
})

test('the arrows go from row to row, past closed groups and to the ends', () => {
  const groups = [group(1, 'a'), group(2, 'b'), group(3)]
  const layout = new LogLayout(groups, ({ number }) => number === 1)
  const walk: string[] = []
  let at: Place | null = { group: groups[0]!, line: -1 }
  for (; at; at = layout.neighbour(at, 1)) walk.push(...named([at]))
  expect(walk).toEqual(['1:-1', '1:0', '2:-1', '3:-1'])
  expect(named([layout.neighbour({ group: groups[1]!, line: -1 }, -1)!])).toEqual(['1:0'])
})

test('no line is thought narrower than it is', () => {
  expect(cellsOf('plain')).toBe(5)
  expect(cellsOf('\u001b[31mred\u001b[0m')).toBe(3)
  expect(cellsOf('\tx')).toBe(9)
  expect(cellsOf('日本')).toBe(4)
  expect(cellsOf('y'.repeat(10_000))).toBeGreaterThan(4000)
})
