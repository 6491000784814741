import { z } from 'zod'

/**
 * Where the machines of an app's owners are. `app-per-owner`: each owner's in an app of its own on
 * Fly, in a private network of its own. `shared-app`: all in the app itself.
 */
export const OwnersSetting = z.enum(['app-per-owner', 'shared-app'])
export type OwnersSetting = z.infer<typeof OwnersSetting>
