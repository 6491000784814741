import { afterEach, expect, test, vi } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { jsonPrinter, peoplePrinter, type Printer } from '../../client/src/print.ts'
import { hostileTexts, obeyed } from '../hostile-text.ts'

afterEach(() => void vi.restoreAllMocks())

/** What a printer writes to either stream. */
function printed(make: () => Printer, act: (printer: Printer) => void): string {
  const written: string[] = []
  const write = (text: unknown) => written.push(String(text)) > 0
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation(write),
  )
  try {
    act(make())
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
  return written.join('')
}

const deployment = (text: string, state: Deployment['state']) =>
  ({
    id: text,
    app: text,
    state,
    url: `http://x/${text}`,
    image: { reference: `registry.fly.io/${text}` },
    createdAt: '2026-01-01T00:00:00Z',
    problem:
      state === 'live'
        ? null
        : new Problem('build-failed', text, { facts: { lastLines: [text] } }).body(),
  }) as unknown as Deployment

const acts: Record<string, (printer: Printer, text: string) => void> = {
  note: (printer, text) => printer.note(text),
  accepted: (printer, text) => printer.accepted(deployment(text, 'pending'), `http://x/${text}`),
  detached: (printer, text) =>
    void printer.detached(deployment(text, 'pending'), `http://x/${text}`),
  event: (printer, text) =>
    printer.event(
      { type: 'warning', text, seq: 1, at: '2026-01-01T00:00:00Z' },
      deployment(text, 'building'),
    ),
  'the verdict of a failure': (printer, text) =>
    void printer.verdict(deployment(text, 'build_failed')),
  'the verdict of an image': (printer, text) => void printer.verdict(deployment(text, 'built')),
  'the verdict of a success': (printer, text) => void printer.verdict(deployment(text, 'live')),
  cancelled: (printer, text) => void printer.cancelled(deployment(text, 'cancelled'), false),
  failed: (printer, text) =>
    void printer.failed(new Problem('internal', text, { facts: { text } })),
  interrupted: (printer, text) => void printer.interrupted({ text }),
}

test.each(Object.entries(acts))(
  '%s: nothing from outside acts on the reader, as text or as JSON',
  (_, act) => {
    for (const text of hostileTexts) {
      const asText = printed(
        () => peoplePrinter(false),
        (printer) => act(printer, text),
      )
      expect(obeyed(asText), JSON.stringify([text, asText])).toEqual([])
      const asJson = printed(jsonPrinter, (printer) => act(printer, text))
      expect(obeyed(asJson), JSON.stringify([text, asJson])).toEqual([])
      for (const line of asJson.trim().split('\n').filter(Boolean)) JSON.parse(line)
    }
  },
)

test('JSON lines keep the value of what they escape', () => {
  for (const text of hostileTexts) {
    const line = printed(jsonPrinter, (printer) => printer.note(text))
    expect(JSON.parse(line)).toMatchObject({ type: 'client', text })
  }
})
