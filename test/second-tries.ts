/**
 * `npm test` gives a failed test one more try: some five thousand tests on a busy machine must not be
 * stopped by one that was late. Each test that needed it is named at the end, with what failed first:
 * it is a fault to find.
 */
import type { Reporter, TestCase } from 'vitest/node'

export class SecondTries implements Reporter {
  readonly #tests: TestCase[] = []

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky) this.#tests.push(test)
  }

  onTestRunEnd(): void {
    for (const test of this.#tests) {
      console.log(`\nSECOND TRY ${test.module.relativeModuleId} > ${test.fullName}`)
      for (const { message } of test.result().errors ?? []) console.log(message)
    }
    if (this.#tests.length > 0)
      console.log(`\n ${this.#tests.length} passed only at the second try (see above)`)
  }
}
