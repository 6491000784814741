import type { Place } from '../log/log-layout.ts'
import type { LogView } from './log-view.ts'

/**
 * The keys of the log. The box scrolls by the browser's own keys. Tab leads into its rows: there
 * the arrows go from row to row, close and open steps, and Enter opens a step or links a line.
 */
export function listenForKeys(view: LogView): void {
  view.box.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const place = view.focused(event.target)
    const to = place && goal(view, place, event.key)
    if (!to) return
    event.preventDefault()
    view.focus(to)
  })
}

/** Where a key leads from a row. Null: the key does nothing there. */
function goal(view: LogView, place: Place, key: string): Place | null {
  const { group, line } = place
  switch (key) {
    case 'ArrowDown':
      return view.layout.neighbour(place, 1) ?? place
    case 'ArrowUp':
      return view.layout.neighbour(place, -1) ?? place
    case 'ArrowRight':
      view.open(group, true)
      return place
    case 'ArrowLeft':
      if (line < 0) view.open(group, false)
      return { group, line: -1 }
    case 'Home':
      return { group, line: -1 }
    case 'End':
      return { group, line: view.isOpen(group) ? group.lines.length - 1 : -1 }
    default:
      return null
  }
}
