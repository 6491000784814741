import { Problem } from '#api/problem.ts'
import type { App } from '#fly/answers.ts'
import type { FlyParts } from '../fly-parts.ts'

type Settings = { env: Record<string, string | undefined>; flyToken: string }

/** Builds the gateway's image from the checkout that this client belongs to. */
export const imageMaker =
  (_fly: FlyParts, _settings: Settings) =>
  (_app: App): Promise<string> => {
    throw new Problem(
      'option-invalid',
      'Name the image of the gateway: tarmac up --image REF. Only a client in a checkout of Tarmac can build one.',
    )
  }
