import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { isKnownMessage, readProblem, readRecord } from '../../client/src/answers.ts'

const url = new URL('http://gateway:8080/v1/deployments/d1')
const record = {
  id: 'd1',
  app: 'shop',
  state: 'build_failed',
  createdAt: '2026-01-01T00:00:00Z',
  url: null,
  image: null,
  problem: { code: 'moon-eclipsed', title: 'The moon', detail: 'It is dark.', facts: [1] },
}

test('a record of a newer gateway is read, also with a problem that the client does not know', () => {
  expect(readRecord(url, JSON.stringify({ ...record, orbit: 4 }))).toEqual({
    ...record,
    release: null,
    owner: null,
  })
})

test('an answer that is no record and no problem says who answered, and with what', () => {
  for (const answer of ['{}', 'null', '<html>'])
    expect(() => readRecord(url, answer)).toThrow(
      `http://gateway:8080 does not answer like a gateway (no record of a deployment): ${answer}`,
    )
  expect(readProblem(url, 502, '<html>')).toMatchObject({
    code: 'not-ready',
    message: 'http://gateway:8080 does not answer like a gateway (status 502): <html>',
  })
  // Node or a proxy refuses these before the gateway reads them.
  expect(readProblem(url, 431, '').code).toBe('headers-too-large')
  expect(readProblem(url, 414, '<html>').code).toBe('headers-too-large')
  expect(readProblem(url, 413, '<html>').code).toBe('archive-too-large')
  const problem = new Problem('queue-full', 'No room.', { facts: { limit: 9 } })
  expect(readProblem(url, 503, JSON.stringify(problem.body()))).toEqual(problem)
})

test('messages of types that the client does not know are left out', () => {
  for (const type of ['log', 'state', 'end', 'too-slow'])
    expect(isKnownMessage({ type })).toBe(true)
  for (const message of [{ type: 'eclipse' }, {}, null, 'log'])
    expect(isKnownMessage(message)).toBe(false)
})
