import { expect, test } from 'vitest'
import { tellingLines } from '#api/text/telling-lines.ts'

const frames = (count: number) =>
  Array.from({ length: count }, (_, n) => `    at step${n} (node:internal/modules/${n}:1:2)`)
const nodeError = (name: string) => [
  'file:///app/server.js:5',
  '}',
  '^',
  '',
  name,
  ...frames(9),
  '',
  'Node.js v22.23.3',
]

test.each<[string, string[], string[]]>([
  ['few lines stay as they are', ['one', 'two'], ['one', 'two']],
  ['the last lines when no line names an error', 'abcdefgh'.split(''), 'cdefgh'.split('')],
  [
    'Node’s error instead of its stack trace',
    nodeError('SyntaxError: missing ) after argument list'),
    [
      'file:///app/server.js:5',
      '}',
      '^',
      'SyntaxError: missing ) after argument list',
      '    at step0 (node:internal/modules/0:1:2)',
      'Node.js v22.23.3',
    ],
  ],
  [
    'the error before its facts',
    [
      'node:events:497',
      '      throw er;',
      '      ^',
      'Error: connect ECONNREFUSED 127.0.0.1:5432',
      ...frames(1),
      "Emitted 'error' event on Socket instance at:",
      ...frames(3).with(2, '    at last (node:1:1) {'),
      '  errno: -111,',
      "  code: 'ECONNREFUSED',",
      "  syscall: 'connect',",
      "  address: '127.0.0.1',",
      '  port: 5432',
      '}',
      'Node.js v22.23.3',
    ],
    [
      'Error: connect ECONNREFUSED 127.0.0.1:5432',
      "Emitted 'error' event on Socket instance at:",
      '  errno: -111,',
      "  code: 'ECONNREFUSED',",
      "  syscall: 'connect',",
      "  address: '127.0.0.1',",
    ],
  ],
  [
    'a restarted program’s output once',
    [
      '  File "/app/main.py", line 3',
      'E',
      'T',
      '  File',
      'E',
      'T',
      '  File',
      'E',
      'T',
      '  File',
      'E',
    ],
    ['  File "/app/main.py", line 3', 'E', 'T', '  File', 'E'],
  ],
  ['also when its first run is cut', ['b', 'c', 'a', 'b', 'c', 'a', 'b', 'c'], ['a', 'b', 'c']],
  ['one line that is repeated, once', ['x', 'Loading', 'Loading', 'Loading'], ['x', 'Loading']],
  ['also when it comes four times', ['x', 'x', 'x', 'x'], ['x']],
  [
    'npm’s reason instead of its usage and notices',
    [
      'npm error code EUSAGE',
      'npm error',
      'npm error `npm ci` can only install packages when',
      'npm error Missing: ms@2.1.3 from lock file',
      ...Array.from({ length: 9 }, (_, n) => `npm error [--option-${n}]`),
      'npm notice New major version of npm available!',
      'npm error A complete log of this run can be found in: /root/.npm/_logs/x.log',
    ],
    [
      'npm error code EUSAGE',
      'npm error `npm ci` can only install packages when',
      'npm error Missing: ms@2.1.3 from lock file',
      'npm error [--option-0]',
      'npm error [--option-1]',
      'npm error [--option-2]',
    ],
  ],
  [
    'a compiler’s error before npm’s words about it',
    [
      "src/a.ts(3,5): error TS2304: Cannot find name 'x'.",
      'npm error Lifecycle script `build` failed with error:',
      'npm error code 2',
      'npm error path /app',
      'npm error workspace shop@1.0.0',
      'npm error location /app',
      'npm error command failed',
      'npm error command sh -c tsc',
    ],
    [
      "src/a.ts(3,5): error TS2304: Cannot find name 'x'.",
      'npm error Lifecycle script `build` failed with error:',
      'npm error code 2',
      'npm error path /app',
      'npm error workspace shop@1.0.0',
      'npm error location /app',
    ],
  ],
  [
    'Go’s panic instead of its stack',
    [
      'panic: runtime error: index out of range [3] with length 3',
      '',
      'goroutine 1 [running]:',
      'main.read(...)',
      '\t/app/main.go:9',
      'main.main()',
      '\t/app/main.go:5 +0x1d',
      'exit status 2',
    ],
    [
      'panic: runtime error: index out of range [3] with length 3',
      'goroutine 1 [running]:',
      'main.read(...)',
      '\t/app/main.go:9',
      'main.main()',
      'exit status 2',
    ],
  ],
  ['nothing of nothing', ['', ' '], []],
])('%s', (_, lines, shown) => {
  expect(tellingLines(lines, 6)).toEqual(shown)
})

test('a long line, such as one of a bundle, is cut', () => {
  expect(tellingLines(['x'.repeat(5000)], 6)[0]).toHaveLength(301)
})
