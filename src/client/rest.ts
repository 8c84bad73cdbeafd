/** Waiting for a connection. */
import { onPage, pageIsHidden } from './page-events'
import { pause } from './wait'

/** Waits; the page ends that early when it comes online, or is shown again. */
export async function rest(milliseconds: number, stopping: AbortSignal): Promise<void> {
  if (stopping.aborted) return
  const waking = new AbortController()
  const wake = () => waking.abort()
  stopping.addEventListener('abort', wake)
  const stopListening = [onPage('online', wake), onPage('visibilitychange', () => pageIsHidden() || wake())]
  await pause(milliseconds, waking.signal)
  stopping.removeEventListener('abort', wake)
  for (const stop of stopListening) stop()
}
