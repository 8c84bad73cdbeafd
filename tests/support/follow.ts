/** Runs the code of `sync` on a source of changes without a server. */
import type { ChangeSource } from '../../src/client/change-source'
import { type KeepUpOptions, keepUp } from '../../src/client/sync'
import { createSync, type Sync, type SyncOptions, type TaskStore } from '../../src/client/sync-handle'

export function followSource(
  source: ChangeSource,
  store: TaskStore = new Map(),
  options: SyncOptions = {},
  more: Omit<KeepUpOptions, 'onChange' | 'onReminder'> = {},
): Sync {
  const { onChange = () => {}, onReminder = () => {} } = options
  return createSync(
    async () => (control) => keepUp(source, store, control, { ...more, onChange, onReminder }),
    options,
  )
}
