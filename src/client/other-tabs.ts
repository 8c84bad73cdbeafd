/** Tells the other tabs of an origin that what is stored has changed, and hears it from them. */
import type { KeyValueStorage } from './storage'

/** As far as Node and Bun have it: an open channel would keep the process alive. */
type Channel = BroadcastChannel & { unref?: () => void }

/**
 * A message says that something has changed, or that the session has expired. The rest stands in the storage, so that clients with
 * different storages do not disturb each other.
 *
 * @param heard called when another tab may have stored something: at its message, at the event `storage`, and when this
 *   page comes back from where messages do not reach it. The reason is the one that the other tab has given
 * @returns `say` tells the other tabs
 */
export function joinOtherTabs(
  key: string,
  storage: KeyValueStorage | undefined,
  heard: (reason?: 'expired') => void,
): { say(reason?: 'expired'): void } {
  if (!storage) return { say() {} }
  if (typeof document === 'object') {
    // Chromium may show another tab's change only after that tab's message has arrived; then this event follows
    addEventListener('storage', (event: Event & { key?: string | null }) => {
      // without a key, all has been cleared
      if (!event.key || event.key.endsWith(key)) heard()
    })
    const back = () => heard()
    addEventListener('pageshow', back)
    for (const name of ['visibilitychange', 'resume']) document.addEventListener(name, back)
  }
  // Deno has channels, but no way to end with an open one
  if (typeof BroadcastChannel !== 'function' || 'Deno' in globalThis) return { say() {} }
  const channel: Channel = new BroadcastChannel(`${key} session`)
  channel.onmessage = ({ data }: { data: unknown }) => heard(data === 'expired' ? data : undefined)
  channel.unref?.()
  return { say: (reason) => channel.postMessage(reason) }
}
