import { expect, test } from 'vitest'
import { upAndDown } from '../../../lab/soak/up.ts'

test('up and down, killed at random calls, leave nothing stray and lose no volume', async () => {
  const said: string[] = []
  const say = (line: string) => void said.push(line)
  expect(await upAndDown({ times: 3, seed: 14, say })).toEqual([])
}, 200_000)
