import { expect, test } from 'vitest'
import type { NewEvent } from '../../../../api/event.ts'
import type { ImageLayers } from '../../../../api/image/layers.ts'
import type { DeploymentState } from '../../../../api/deployment.ts'
import type { DeploymentPatch } from '../../../../gateway/src/deployments/store.ts'
import { alignSteps } from '../../../../gateway/src/http/dashboard/build/align-steps.ts'
import {
  BuildModel,
  type BuildStep,
} from '../../../../gateway/src/http/dashboard/build/build-model.ts'
import {
  layersCompared,
  layersPart,
} from '../../../../gateway/src/http/dashboard/build/layers-part.ts'
import { findingsPart } from '../../../../gateway/src/http/dashboard/build/findings-part.ts'
import { stepsPart } from '../../../../gateway/src/http/dashboard/build/steps-part.ts'
import { startHttp } from '../start-http.ts'

const step = (name: string, status: BuildStep['status'] = 'done', ms: number | null = 10) => ({
  name,
  status,
  ms,
  cpuMs: null,
  peakMemoryBytes: null,
})
const eventOf = (id: string, name: string, more: object): NewEvent =>
  ({ type: 'step', step: id, name, ...more }) as NewEvent
const taking = (...events: NewEvent[]) => {
  const model = new BuildModel()
  for (const [at, event] of events.entries()) model.take({ ...event, seq: at + 1, at: '2026' })
  return model
}

test('a step has what its last event says, and a second try does not make it cached', () => {
  const { steps } = taking(
    eventOf('a', 'RUN make', { status: 'started' }),
    eventOf('a', 'RUN make', { status: 'done', ms: 900, cpuMs: 500, peakMemoryBytes: 7 }),
    eventOf('b', 'COPY . .', { status: 'cached' }),
    eventOf('a', 'RUN make', { status: 'cached' }),
  )
  expect(steps).toEqual([
    { name: 'RUN make', status: 'done', ms: 900, cpuMs: 500, peakMemoryBytes: 7 },
    { name: 'COPY . .', status: 'cached', ms: null, cpuMs: null, peakMemoryBytes: null },
  ])
})

test('a build with very many steps and warnings is cut, and says how much', () => {
  const many = Array.from({ length: 700 }, (_, at) => [
    eventOf(String(at), 'RUN make', { status: 'started' }),
    eventOf(String(at), 'RUN make', { status: 'done', ms: 1 }),
    { type: 'warning', text: `finding ${at}`, file: 'Dockerfile', line: at } as const,
  ])
  const model = taking(...many.flat())
  expect([model.steps.length, model.omitted, model.findings.length]).toEqual([500, 200, 200])
})

test('steps are paired by name, whatever their count and the digest of the base image', () => {
  const digest = (digit: string) => `@sha256:${digit.repeat(64)}`
  const before = [
    step(`[1/3] FROM alpine${digest('a')}`),
    step('[2/3] RUN old'),
    step('[3/3] COPY . .'),
  ]
  const after = [
    step(`[1/4] FROM alpine${digest('b')}`),
    step('[2/4] RUN new'),
    step('[3/4] COPY . .'),
    step('[4/4] COPY . .'),
  ]
  const names = alignSteps(before, after).map(({ a, b }) => [a?.name ?? null, b?.name ?? null])
  expect(names).toEqual([
    [before[0]!.name, after[0]!.name],
    [null, '[2/4] RUN new'],
    ['[2/3] RUN old', null],
    ['[3/3] COPY . .', '[3/4] COPY . .'],
    [null, '[4/4] COPY . .'],
  ])
  expect(alignSteps([], [])).toEqual([])
  expect(alignSteps(before, []).every(({ b }) => b === null)).toBe(true)
})

test('steps that were not measured have no bars and no broken numbers', () => {
  for (const steps of [[], [step('RUN a', 'cached', null)], [step('RUN <b>', 'failed', 0)]]) {
    const text = stepsPart({ steps, omitted: 0 }).toString()
    expect(text).not.toMatch(/NaN|Infinity|undefined|<b>/)
  }
})

/** A build of these steps: `name: milliseconds`, or null for a cached one. */
const building = (
  steps: Record<string, number | null>,
  plan: object,
): (NewEvent | [DeploymentState, DeploymentPatch?])[] => [
  ['analyzing'],
  ['building', { plan: plan as never }],
  ...Object.entries(steps).map(([name, ms], at) =>
    eventOf(String(at), name, ms === null ? { status: 'cached' } : { status: 'done', ms }),
  ),
  { type: 'warning', text: 'Stage names are lower case', file: 'Dockerfile', line: 7 },
  ['built'],
]
const plan = (node: string) => ({
  builder: 'railpack',
  reason: 'no Dockerfile',
  planner: 'railpack 1',
  provider: 'node',
  versions: { node },
  startCommand: 'npm start',
})

test('two builds are compared: the cause first, then each step beside its own', async () => {
  await using server = await startHttp()
  const first = (await server.create()).id
  await server.play(building({ '[1/2] RUN npm ci': 4000, '[2/2] COPY . .': 100 }, plan('22.1')))
  const second = (await server.create()).id
  await server.play(
    building({ '[1/3] RUN npm ci': null, '[2/3] RUN <b>': 9000, '[3/3] COPY . .': 1 }, plan('24')),
  )

  const page = async (path: string) => {
    const answer = await server.get(path)
    return { status: answer.status, text: await answer.text() }
  }
  const { status, text } = await page(`/ui/compare?a=${second}&b=${first}`)
  expect(status).toBe(200)
  expect(text).toContain('<h1>From #1 to #2</h1>')
  expect(text).toContain('Version of node: 22.1 before, 24 now.')
  expect(text).toContain('The first step that the earlier build did not have: [2/3] RUN.')
  expect(text).toContain('The first step that ran instead of coming from the cache: [2/3] RUN.')
  expect(text).toMatch(/\[1\/3\] RUN npm ci.*done.*4\.0 s.*cached/s)
  expect(text).toContain('no such step')
  expect(text).toContain('RUN &lt;b&gt;')
  expect(text).not.toMatch(/NaN|undefined|Infinity/)

  const build = (await page(`/ui/deployments/${second}/build`)).text
  expect(build).toContain('3 steps, 1 from the cache. The longest: [2/3] RUN, 9.0 s of 9.0 s')
  expect(build).toContain('<code>Dockerfile:7</code>')
  expect(build).toContain(`/ui/compare?a=${first}&amp;b=${second}`)
})

test('a comparison without a log, or of nothing, says so', async () => {
  await using server = await startHttp()
  const ids: string[] = []
  for (const node of ['22', '24']) {
    ids.push((await server.create()).id)
    await server.play(building({ 'RUN make': 1 }, plan(node)))
  }
  await server.store.dropLogs({ perApp: 0, days: 0 }, new AbortController().signal)
  const text = await (await server.get(`/ui/compare?a=${ids[0]}&b=${ids[1]}`)).text()
  expect(text).toContain('was deleted at')
  expect(text).toContain('Version of node: 22 before, 24 now.')
  expect((await server.get('/ui/compare?a=only')).status).toBe(422)
  expect((await server.get(`/ui/compare?a=${ids[0]}&b=none`)).status).toBe(404)
})

test('layers are drawn by size, with the largest named', () => {
  const image = (...sizes: number[]): ImageLayers => ({
    reference: 'registry.test/web@sha256:a',
    layers: sizes.map((sizeBytes, at) => ({
      digest: `sha256:${sizeBytes}`,
      sizeBytes,
      madeBy: at === 1 ? 'COPY <src> .' : null,
    })),
  })
  const text = layersPart(image(2e6, 5e6, 0)).toString()
  expect(text).toMatch(/3 layers, 7\.0 MB as stored.*5\.0 MB: <span class="mono">COPY &lt;src&gt;/s)
  expect(layersPart({ reference: null, layers: [] }).toString()).toContain('It has no image')
  const compared = layersCompared(image(1e6, 2e6), image(1e6, 9e6)).toString()
  expect(compared).toMatch(/Layers in both images: 1\. New ones: 1, with\s+9\.0 MB/)
  for (const part of [
    text,
    compared,
    layersPart(image(0)).toString(),
    layersCompared(image(), image()).toString(),
    layersCompared(image(3), image()).toString(),
  ])
    expect(part).not.toMatch(/NaN|Infinity|undefined/)
})

test('a finding of the linter leads to the step that its instruction made', () => {
  const model = taking(
    eventOf('a', '[build 1/3] FROM docker.io/library/alpine', { status: 'cached' }),
    eventOf('b', '[build 2/3] RUN cd /srv &&     make all', { status: 'done', ms: 5 }),
    {
      type: 'warning',
      text: 'WorkdirRelativePath: use an absolute path (https://docs.docker.com/go/rule/)',
      file: 'Dockerfile',
      line: 4,
      code: 'run cd /srv && \\\n    make all',
    },
    { type: 'warning', text: '<b>', file: 'Dockerfile', line: 9, code: 'CMD make' },
  )
  const text = findingsPart(model).toString()
  expect(text).toMatch(/<a href="#step-2"\s*>.*RUN cd \/srv/s)
  expect(text).toContain('<a href="https://docs.docker.com/go/rule/" rel="noreferrer">')
  expect(text.match(/href="#step-/g)).toHaveLength(1) // CMD makes no step
  expect(text).toContain('&lt;b&gt;')
  expect(stepsPart(model).toString()).toContain('id="step-2"')
})
