import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Preview } from '../../../api/previews/preview.ts'
import { removePreview, type RemoveDeps } from '../../../gateway/src/previews/remove-preview.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const preview = { id: 'pv-1', flyApp: 'shop-pv-1', deployment: 'd1', ending: null } as Preview

/** Its deployment is at work until `end` is called. */
function startRemoval({ shown = 0 } = {}) {
  const calls: string[] = []
  const over = Promise.withResolvers<void>()
  let state = 'verifying'
  const deps = {
    store: {
      find: async () => ({ state }),
      changed: () => over.promise,
      releases: { forget: async () => void calls.push('forget') },
    },
    cancel: async () => void calls.push('cancel'),
    fly: {
      deleteApp: async (app: string) => void calls.push(`delete ${app}`),
      app: async () =>
        calls.filter((call) => call.startsWith('delete')).length > shown ? null : {},
    },
    deployer: { forget: () => {} },
  } as unknown as RemoveDeps
  const removal = removePreview(preview, deps, new AbortController().signal)
  const end = () => {
    state = 'cancelled'
    over.resolve()
    return removal
  }
  return { calls, end }
}

test('the app of a preview is deleted also while its deployment does not end, and again after it', async () => {
  const { calls, end } = startRemoval()
  await vi.advanceTimersByTimeAsync(2900)
  expect(calls).toEqual(['cancel'])
  await vi.advanceTimersByTimeAsync(200)
  expect(calls).toEqual(['cancel', 'delete shop-pv-1'])
  await vi.advanceTimersByTimeAsync(600_000)
  expect(calls).toEqual(['cancel', 'delete shop-pv-1'])
  await end()
  expect(calls).toEqual(['cancel', 'delete shop-pv-1', 'delete shop-pv-1', 'forget'])
})

test('a deployment that ends at once costs no second deletion', async () => {
  const { calls, end } = startRemoval()
  await end()
  expect(calls).toEqual(['cancel', 'delete shop-pv-1', 'forget'])
})

test('an app that Fly still shows a while after its deletion is deleted again', async () => {
  const { calls, end } = startRemoval({ shown: 1 })
  const removal = end()
  await vi.advanceTimersByTimeAsync(7000)
  await removal
  expect(calls).toEqual(['cancel', 'delete shop-pv-1', 'delete shop-pv-1', 'forget'])
})
