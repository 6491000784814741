import { Resealing } from '../../../gateway/src/secrets/resealing.ts'
import { SealingKeys } from '../../../gateway/src/secrets/sealing.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

// A process of its own for resealing.test.ts: it is killed before or after a batch is written.

const [path = '', key = '', old = '', when, batch] = process.argv.slice(2)
const sealing = new SealingKeys(Buffer.from(key, 'hex'), [Buffer.from(old, 'hex')])
await using store = openSqliteStore(path)
const { sealed } = store
let left = Number(batch)
const log = { info: () => {}, error: () => {} }

const dying: typeof sealed = Object.assign(Object.create(sealed), {
  countByKey: () => sealed.countByKey(),
  useKey: (id: string) => sealed.useKey(id),
  sealedByOthers: (...asked: Parameters<typeof sealed.sealedByOthers>) =>
    sealed.sealedByOthers(...asked),
  async reseal(values: Parameters<typeof sealed.reseal>[0]) {
    left--
    if (left === 0 && when === 'before') process.kill(process.pid, 'SIGKILL')
    const replaced = await sealed.reseal(values)
    if (left === 0 && when === 'after') process.kill(process.pid, 'SIGKILL')
    return replaced
  },
})
const resealing = await Resealing.open({ store: dying, sealing, log })
await resealing.run(new AbortController().signal)
process.stdout.write('done\n')
