import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { shareLab } from './shared-lab.ts'
import { startTestLab, type Files, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_MAX_BUILDS: '8' }),
  (fresh) => void (lab = fresh),
)

const secretOf = (app: string) => createHash('sha256').update(app).digest('hex')
const expected = (app: string) => createHash('sha256').update(secretOf(app)).digest('hex')

/**
 * Fails when the cache with the shared name holds a word of another app, or when the secret is not
 * this app's.
 */
const look = `app=$1 round=$2 secret=$3
for found in $(ls -A /cache); do
  if [ $found = $app ]; then echo "$app was here"; else echo "met $found"; exit 1; fi
done
touch /cache/$app
[ "$(printf %s "$secret" | sha256sum)" = "$(cat /src/expected)  -" ] || { echo "not the secret of $app"; exit 1; }
echo $app $round > /made
`
const cache = (more = '') => `--mount=type=cache,target=/cache,sharing=locked${more}`
const file = (app: string, round: number) =>
  `sh /src/look.sh ${app} ${round} "$(cat /run/secrets/TOKEN)"`
const env = (app: string, round: number) => `sh /src/look.sh ${app} ${round} "$TOKEN"`
const dockerfile = (...steps: string[]) => ({
  Dockerfile: ['FROM debian:trixie-slim', 'COPY . /src', ...steps].join('\n'),
})

/** Four builds that use one cache and one secret. */
const apps: Record<string, (app: string, round: number) => Files> = {
  oak: (...which) =>
    dockerfile(`RUN ${cache(',id=shared')} --mount=type=secret,id=TOKEN ${file(...which)}`),
  elm: (...which) =>
    dockerfile(
      'ARG BUILDKIT_CACHE_MOUNT_NS=',
      `RUN ${cache(',id=shared')} --mount=type=secret,id=TOKEN,env=TOKEN ${env(...which)}`,
    ),
  ash: (...which) => dockerfile(`RUN ${cache()} --mount=type=secret,id=TOKEN ${file(...which)}`),
  yew: (...which) => ({
    'plan.json': JSON.stringify({
      caches: { shared: { directory: '/cache', type: 'locked' } },
      secrets: ['TOKEN'],
      steps: [
        {
          name: 'look',
          inputs: [{ image: 'debian:trixie-slim' }],
          commands: [{ src: '.', dest: '/src' }, { cmd: `sh -c '${env(...which)}'` }],
          caches: ['shared'],
          secrets: ['TOKEN'],
        },
      ],
      deploy: { base: { step: 'look' }, startCommand: 'true' },
    }),
  }),
}

test('50 parallel builds of four apps are all correct, and neither cache mounts nor secrets cross apps', async () => {
  const names = Object.keys(apps)
  for (const app of names) {
    const answer = await fetch(`${lab.gateway}/v1/apps/${app}/secrets/TOKEN`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${lab.token}` },
      body: secretOf(app),
    })
    expect(answer.status).toBe(200)
  }
  const ids = await Promise.all(
    Array.from({ length: 50 }, async (_, round) => {
      const app = names[round % 4]!
      const files = { ...apps[app]!(app, round), 'look.sh': look, expected: expected(app) }
      const plan = app === 'yew' ? '&plan=plan.json' : ''
      return lab.submit(app, files, `deploy=false&owner=worker-${round}${plan}`)
    }),
  )
  const met = new Map(names.map((app) => [app, 0]))
  const digests = new Set<string>()
  for (const id of ids) {
    const { record, log } = await lab.end(id)
    const said = log.flatMap((event) => (event.type === 'log' ? [event.text] : []))
    expect(record, said.join('\n')).toMatchObject({ state: 'built', problem: null })
    digests.add(record.image!.digest)
    if (said.includes(`${record.app} was here`)) met.set(record.app, met.get(record.app)! + 1)
  }
  expect(digests.size).toBe(50)
  // otherwise the cache did not work
  for (const times of met.values()) expect(times).toBeGreaterThan(5)
})
