import { ThreadPool } from '../host/threads/thread-pool.ts'
import { compilePlan, type CompiledPlan, type CompileOptions } from './compile/compile.ts'
import { readPlan, type RailpackPlan } from './plan-schema.ts'

/** The facts about a plan that are needed before it is compiled. */
export type PlanNeeds = Pick<RailpackPlan, 'exclude' | 'secrets'>
export type Compiled = Omit<CompiledPlan, 'nodes'>

/** Everything that the gateway does with the text of a plan. */
export const planWork = {
  needs(planText: string): PlanNeeds {
    const { exclude, secrets } = readPlan(planText)
    return { exclude, secrets }
  },
  compile(planText: string, options: CompileOptions): Compiled {
    const { nodes: _, ...compiled } = compilePlan(readPlan(planText), options)
    return compiled
  },
}
type Work = typeof planWork

/** Plans of usual size: starting a thread takes longer than compiling them. */
const smallChars = 8 * 1024
const threads = new ThreadPool({
  script: new URL('./plan-thread.ts', import.meta.url),
  size: 1,
  heapMiB: 1024,
})

/** The same as `planWork`, but large plans run on a thread because they may take seconds. */
export const onPlan = {
  needs: (...given: Parameters<Work['needs']>) => run('needs', given),
  compile: (...given: Parameters<Work['compile']>) => run('compile', given),
}

async function run<K extends keyof Work>(
  kind: K,
  given: Parameters<Work[K]>,
): Promise<ReturnType<Work[K]>> {
  const work = planWork[kind] as (...given: Parameters<Work[K]>) => ReturnType<Work[K]>
  if (given[0].length <= smallChars) return work(...given)
  const { port, end } = threads.start(kind, given)
  try {
    return await port.value()
  } finally {
    end()
  }
}
