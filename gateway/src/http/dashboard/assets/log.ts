/**
 * The log of a deployment, live and of any length, in place of the part of it that the page came
 * with.
 */
import type { DeploymentEvent } from '#api/event.ts'
import { LogModel } from '../log/log-model.ts'
import { refresh, refreshSoon } from './dashboard.ts'
import { listenForKeys } from './log-keys.ts'
import { LogSearch } from './log-search.ts'
import { LogTools } from './log-tools.ts'
import { LogView } from './log-view.ts'
import { followEvents, news } from './stream.ts'

/** Work that takes longer goes on in the next task, so that the page answers at any time. */
const sliceMs = 8

const section = document.querySelector<HTMLElement>('#log')!
const address = section.dataset['log']
if (address !== undefined) showLog(address)

function showLog(address: string): void {
  const isOver = section.dataset['over'] !== undefined
  /** The last event that the page knows. */
  const pageSeq = Number(section.dataset['seq'])
  const model = new LogModel()
  const view = new LogView(model, !isOver && location.hash === '')
  const tools = new LogTools(view, new LogSearch(model), model.groups)

  let isShown = false
  // The part that the page came with stays until the view has more than that.
  const show = () => {
    if (isShown || model.seq < pageSeq) return
    isShown = true
    document.querySelector('#log-text')!.replaceWith(view.box)
    tools.show()
    model.onEnd = (group) => view.hold(group)
    goToAddress(model, view)
    listenForKeys(view)
    window.addEventListener('hashchange', () => goToAddress(model, view))
  }
  const take = inSlices(
    (event) => model.take(event),
    () => {
      show()
      view.changed()
      tools.look()
    },
  )

  followEvents(`${address}?after=0`, {
    types: [...news, 'step', 'log', 'dropped', 'note', 'gap'],
    take: ({ data, type, lastEventId }) => {
      take(data)
      if (news.includes(type) && Number(lastEventId) > pageSeq) refreshSoon()
    },
    ended: () => isOver || refreshSoon(),
    refused: () => void refresh(),
  })
}

/** Takes events as text, and works on them for a few milliseconds at a time. */
function inSlices(
  take: (event: DeploymentEvent) => void,
  done: () => void,
): (text: string) => void {
  let waiting: string[] = []
  let isRunning = false
  const run = () => {
    const until = performance.now() + sliceMs
    let taken = 0
    while (taken < waiting.length && performance.now() < until) {
      const event: DeploymentEvent = JSON.parse(waiting[taken++]!)
      take(event)
    }
    waiting = waiting.slice(taken)
    isRunning = waiting.length > 0
    if (isRunning) setTimeout(run)
    done()
  }
  return (text) => {
    waiting.push(text)
    if (!isRunning) setTimeout(run)
    isRunning = true
  }
}

/** Shows the line that the page's address names: `#s12L40`, `#s12`, `#state-building`. */
function goToAddress({ groups }: LogModel, view: LogView): void {
  const [, number, line = '0', state] =
    /^#(?:s(\d{1,9})(?:L(\d{1,9}))?|state-([a-z_]+))$/.exec(location.hash) ?? []
  const group =
    state === undefined
      ? groups[Number(number) - 1]
      : groups.findLast((each) => each.state === state)
  if (!group) return
  view.show(group, Number(line))
  view.box.scrollIntoView({ block: 'nearest' })
}
