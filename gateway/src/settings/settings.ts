import { z } from 'zod'
import { build } from './build.ts'
import { callers } from './callers.ts'
import { fly } from './fly.ts'
import { images } from './images.ts'
import { limits } from './limits.ts'
import { machine } from './machine.ts'
import { previews } from './previews.ts'
import { prices } from './prices.ts'
import { quotas } from './quotas.ts'
import { server, testing } from './server.ts'

/**
 * Every setting, grouped as the parts of the gateway use them. `docs/settings.md` is checked
 * against this table. Nothing else in the gateway reads the environment.
 */
export const settings = z.object({
  ...server,
  ...callers,
  ...machine,
  ...fly,
  ...build,
  ...images,
  ...limits,
  ...quotas,
  ...previews,
  ...prices,
  ...testing,
})
