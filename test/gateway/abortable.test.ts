import { Readable } from 'node:stream'
import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { abortable } from '../../gateway/src/abortable.ts'
import { readBody } from '../../gateway/src/read-body.ts'

test('work that ends before the abort gives its result, and leaves no listener', async () => {
  const { signal } = new AbortController()
  expect(await abortable(Promise.resolve(7), signal)).toBe(7)
  await expect(abortable(Promise.reject(new Error('broken')), signal)).rejects.toThrow('broken')
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('the reason of an abort ends the wait, also when the signal has fired before', async () => {
  const stop = new AbortController()
  const reason = new Error('enough')
  const waits = abortable(new Promise(() => {}), stop.signal)
  stop.abort(reason)
  await expect(waits).rejects.toBe(reason)
  await expect(abortable(new Promise(() => {}), stop.signal)).rejects.toBe(reason)
})

test('a body of the limit is read, and one byte more is refused', async () => {
  const body = () => Readable.from([Buffer.from('ab'), Buffer.from('cd')])
  const tooLarge = () => new Error('too large')
  expect((await readBody(body(), 4, tooLarge)).toString()).toBe('abcd')
  await expect(readBody(body(), 3, tooLarge)).rejects.toThrow('too large')
})
