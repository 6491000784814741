import { ThreadPool } from '../host/threads/thread-pool.ts'
import { compilePlan, type CompiledPlan, type CompileOptions } from './compile/compile.ts'
import { readPlan, type RailpackPlan } from './plan-schema.ts'

/** What must be known of a plan before it is compiled. */
export type PlanNeeds = Pick<RailpackPlan, 'exclude' | 'secrets'>
export type Compiled = Omit<CompiledPlan, 'nodes'>

/** All that is done with the text of a plan. */
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

/** Plans as people have them: a thread takes longer to start than they take to compile. */
const smallChars = 8 * 1024
const threads = new ThreadPool({
  script: new URL('./plan-thread.ts', import.meta.url),
  size: 1,
  heapMiB: 1024,
})

/** The same as `planWork`; large plans, which may take seconds, on a thread. */
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
