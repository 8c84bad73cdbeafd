/** The events of a page, in engines that have pages. */

type PageEvent = 'online' | 'offline' | 'pagehide' | 'visibilitychange'

interface Page extends Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> {
  document?: { visibilityState?: string }
}

/** Listens to an event of the page; does nothing if there are none. @returns stops that */
export function onPage(event: PageEvent, listener: () => void): () => void {
  const page = globalThis as Page
  // `visibilitychange` bubbles from the document to the window
  page.addEventListener?.(event, listener)
  return () => page.removeEventListener?.(event, listener)
}

export function pageIsHidden(): boolean {
  return (globalThis as Page).document?.visibilityState === 'hidden'
}
