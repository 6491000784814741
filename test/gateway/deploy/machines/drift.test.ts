import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { desiredApp } from '../../../../gateway/src/deploy/config/desired.ts'
import { mergeConfig } from '../../../../gateway/src/deploy/config/merge-config.ts'
import { machineDrift } from '../../../../gateway/src/deploy/machines/drift.ts'
import type { Machine } from '#fly/machine.ts'
import { digest } from '../deployed.ts'

const repository = 'registry.fly.io/web'
const imageOf = (number: number, tags: string[]) => ({
  reference: `${repository}@${digest(number)}`,
  digest: digest(number),
  tags,
})
const desired = desiredApp({
  flyToml: `machine_config = '{"containers": [{"name": "app", "image": "."}, {"name": "side", "image": "redis:7"}]}'\n[processes]\napp = "run"\n`,
  app: 'web',
  options: DeploymentOptions.parse({}),
  defaults: { region: 'fra' },
})
const release = {
  app: 'web',
  owner: null,
  number: 1,
  deployment: 'd1',
  createdAt: '2026-01-01T00:00:00Z',
  image: imageOf(1, ['deployment-d1']),
  desired,
  secrets: [],
  crashes: [],
}

/** A machine that a deploy of this image has made. */
function machineOf(image: ReturnType<typeof imageOf>): Machine {
  const marks = { image, deployment: 'd1', number: 1, owner: null, builder: null }
  return {
    id: 'm1',
    name: 'web-1',
    state: 'started',
    region: 'fra',
    instance_id: '01A',
    config: mergeConfig({}, desired.groups[0]!, marks),
    image_ref: { registry: 'registry.fly.io', repository: 'web', digest: image.digest },
  }
}

test('an image under another tag, or without one, is no drift; another digest is', () => {
  for (const tags of [['deployment-d1'], ['later'], []])
    expect(machineDrift([machineOf(imageOf(1, tags))], [release]).drift).toEqual([])

  const [drift] = machineDrift([machineOf(imageOf(2, ['deployment-d1']))], [release]).drift
  expect(drift!.differences).toContainEqual({
    path: 'image',
    before: `${repository}@${digest(1)}`,
    after: `${repository}@${digest(2)}`,
  })
})
