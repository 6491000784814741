import { ThreadPool } from '../host/threads/thread-pool.ts'
import { compilePlan, type CompiledPlan, type CompileOptions } from './compile/compile.ts'
import { readPlan, type RailpackPlan } from './plan-schema.ts'

/** The facts about a plan that are needed before it is compiled. */
type PlanNeeds = Pick<RailpackPlan, 'exclude' | 'secrets'>
type Compiled = Omit<CompiledPlan, 'nodes'>

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
/** Plans of usual size: starting a thread takes longer than compiling them. */
const smallChars = 8 * 1024
const threads = new ThreadPool({
  script: new URL('./plan-thread.ts', import.meta.url),
  size: 1,
  heapMiB: 1024,
})

/** The same as `planWork`, but large plans run on a thread because they may take seconds. */
export const onPlan = {
  needs: async (planText: string): Promise<PlanNeeds> =>
    isSmall(planText) ? planWork.needs(planText) : onThread('needs', [planText]),
  compile: async (planText: string, options: CompileOptions): Promise<Compiled> =>
    isSmall(planText)
      ? planWork.compile(planText, options)
      : onThread('compile', [planText, options]),
}

const isSmall = (planText: string): boolean => planText.length <= smallChars

async function onThread<T>(kind: keyof typeof planWork, args: unknown[]): Promise<T> {
  const { port, end } = threads.start(kind, args)
  try {
    return await port.value<T>()
  } finally {
    end()
  }
}
