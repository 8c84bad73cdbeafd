/**
 * Tabs of one origin, with the same server and user, share one event stream: one tab, the reader, reads for all.
 *
 * The tabs talk on a `BroadcastChannel` that is named after the server and the user:
 *
 * - `claim`: this tab will read, unless within 1.5 s the reader answers, or a tab with a lower id claims too. A tab
 *   claims when it joins, when the reader leaves, and when it has not heard from the reader for 1.5 to 3 s.
 * - `beat`: the reader's answer to a claim. The reader needs no timer, because browsers slow down the timers of hidden
 *   tabs.
 * - `event`: what the reader got from the server at once. Events are numbered, and a beat repeats the last number.
 * - `bye`: the reader was stopped, or its stream has ended.
 *
 * A tab that gets the Web Lock of the channel's name reads at once: the browser passes the lock on when a tab closes or
 * crashes. Over plain http there are no locks, and claims alone decide. Of two readers, the one with the lower id stays.
 * If a number is missing, or the reader is new, a tab first reads the changes from the server ('gap'). So the server has
 * accepted the tab's own token before the tab takes anything from another one.
 */
import { webLocks } from './locks'
import type { KeyValueStorage } from './storage'
import type { ChangeEvent, OpenEvents, Share } from './sync'

type Message =
  | { kind: 'claim'; from: string }
  | { kind: 'bye'; from: string }
  | { kind: 'beat'; from: string; count: number }
  | { kind: 'event'; from: string; count: number; event: ChangeEvent }

/** What a tab has to do, in order: take a message of the reader, read for all, or stop. */
type Item =
  | Exclude<Message, { kind: 'claim' | 'bye' }>
  | { kind: 'read'; until: AbortSignal }
  | { kind: 'stop' }

/** In milliseconds: how long a tab waits for the reader before it claims. Up to twice as long, so that not all tabs claim at once. */
const SILENCE = 1500
/** In milliseconds: how long a claim waits for an answer. */
const ANSWER = 1500

/** @param identify names the server and the signed-in user; undefined if the user is unknown: then nothing is shared */
export function shareBetweenTabs(identify: () => Promise<string | undefined>): Share {
  return async function* share(open, signal, heard) {
    const name = await identify()
    if (name === undefined) return yield* open(signal)
    const isSameUser = async () => (await identify()) === name
    const tab = joinTabs(name, signal, heard)
    let reader = ''
    let count = 0
    try {
      for (let item = await tab.next(); item.kind !== 'stop'; item = await tab.next()) {
        if (item.kind === 'read') {
          yield* read(tab, open, item.until, isSameUser)
          if (!item.until.aborted) return
          reader = ''
          continue
        }
        const isNext = item.from === reader && item.count === count + (item.kind === 'event' ? 1 : 0)
        reader = item.from
        count = item.count
        if (!isNext) yield 'gap'
        else if (item.kind === 'event') {
          if (!(await isSameUser())) return
          yield item.event
        }
      }
    } finally {
      tab.leave()
    }
  }
}

/** Reads for all tabs, until the stream ends, another tab reads, or another user has signed in here. */
async function* read(
  tab: Tab,
  open: OpenEvents,
  until: AbortSignal,
  isSameUser: () => Promise<boolean>,
): AsyncGenerator<ChangeEvent | 'open'> {
  try {
    // this tab may have read changes since its first beat that the other tabs have not
    tab.tell('gap')
    for await (const event of open(until)) {
      if (!(await isSameUser()) || until.aborted) return
      if (event !== 'open') tab.tell(event)
      yield event
    }
  } catch (error) {
    if (!until.aborted) throw error
  }
}

type Tab = ReturnType<typeof joinTabs>

function joinTabs(name: string, signal: AbortSignal, heard: () => void) {
  const id = Math.random().toString(36).slice(2)
  const channel = new BroadcastChannel(name)
  const leaving = new AbortController()
  const inbox: Item[] = []
  let wake = () => {}
  let timer: ReturnType<typeof setTimeout> | undefined
  /** Set while this tab reads for all. */
  let reading: AbortController | undefined
  let count = 0

  const say = (message: Message) => channel.postMessage(message)
  const beat = () => say({ kind: 'beat', from: id, count })
  function give(item: Item): void {
    inbox.push(item)
    wake()
  }
  function after(milliseconds: number, work: () => void): void {
    clearTimeout(timer)
    timer = setTimeout(work, milliseconds)
  }
  function wait(): void {
    after(SILENCE * (1 + Math.random()), claim)
  }
  function claim(): void {
    say({ kind: 'claim', from: id })
    after(ANSWER, startReading)
  }
  function startReading(): void {
    clearTimeout(timer)
    if (reading) return
    reading = new AbortController()
    give({ kind: 'read', until: reading.signal })
    beat()
  }
  function stopReading(): void {
    reading?.abort()
    reading = undefined
  }
  channel.onmessage = ({ data }: { data: Message }) => {
    const isLower = data.from < id
    if (data.kind === 'claim') {
      if (reading) beat()
      else if (isLower) wait()
      return
    }
    if (data.kind === 'bye') {
      if (!reading) claim()
      return
    }
    if (reading && !isLower) return beat()
    stopReading()
    heard()
    wait()
    give(data)
  }
  function leave(): void {
    if (leaving.signal.aborted) return
    if (reading) say({ kind: 'bye', from: id })
    stopReading()
    clearTimeout(timer)
    leaving.abort()
    channel.close()
    give({ kind: 'stop' })
  }
  signal.addEventListener('abort', leave)
  if (signal.aborted) leave()
  else claim()
  whileLocked(name, leaving.signal, startReading)

  return {
    async next(): Promise<Item> {
      for (;;) {
        const item = inbox.shift()
        if (item) return item
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    tell(event: ChangeEvent): void {
      count++
      say({ kind: 'event', from: id, count, event })
    },
    leave,
  }
}

/** Calls `begin` when this tab gets the lock, and keeps the lock until the signal is aborted. */
function whileLocked(name: string, signal: AbortSignal, begin: () => void): void {
  const held = async () => {
    if (signal.aborted) return
    begin()
    await new Promise<void>((release) => signal.addEventListener('abort', () => release()))
  }
  // rejects if the signal is aborted first, or if the page may not use locks: then claims decide
  webLocks()
    ?.request(name, { signal }, held)
    .catch(() => {})
}

/** @returns what names a client's tabs; undefined if there can be no other tabs, or the user is not known */
export function nameOfTabs(
  url: string,
  storage: KeyValueStorage | undefined,
  userKey: string | undefined,
): string | undefined {
  // a server that uses the client has neither a storage nor a document
  const hasTabs = typeof BroadcastChannel === 'function' && (storage || typeof document === 'object')
  return hasTabs ? userKey && `taskwell changes ${url} ${userKey}` : undefined
}
