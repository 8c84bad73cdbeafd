/** Where `sync` reads: pages of changes, and the event stream if `fetch` gives streams here. */

import type { TasksCalls } from './calls'
import type { RequestError } from './errors'
import type { Changes } from './schemas'

export interface ChangeSource {
  /** A page of changes. @throws Failure, or any other error if the server cannot be asked now */
  read(since: string | undefined, signal: AbortSignal): Promise<Changes>
  /** The stream of later events; undefined if `fetch` gives no streams here. @throws as `read` */
  open(since: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array> | undefined>
}

/**
 * - `later`: trying again may help.
 * - `anew`: the server no longer has the changes since the cursor.
 * - `foreign`: the answer is not Taskwell's. It comes from something on the way, or the address is wrong.
 * - `refused`: trying again cannot help.
 */
type FailureKind = 'later' | 'anew' | 'foreign' | 'refused'

/** An answer that gives no changes. */
export class Failure extends Error {
  readonly kind: FailureKind
  /** What to tell the app. */
  readonly error: Error
  /** In milliseconds: how long the server asks to wait. */
  readonly retryAfter: number

  constructor(kind: FailureKind, error: Error, retryAfter = 0) {
    super(error.message)
    this.kind = kind
    this.error = error
    this.retryAfter = retryAfter
  }
}

/** @param url the server's address, for errors @param todos calls that repeat nothing by themselves */
export function changeSource(url: string, { changes, events }: TasksCalls): ChangeSource {
  let hasStreams = true

  /** @throws Failure */
  function refuse(error: RequestError, response: Response): never {
    const { status } = response
    const retryAfter = Number(response.headers.get('retry-after')) * 1000 || 0
    if (status >= 500 || status === 429) throw new Failure('later', error, retryAfter)
    if (error.code === undefined || error.code === 'NO_ANSWER') throw foreign(response)
    throw new Failure(status === 410 ? 'anew' : 'refused', error)
  }
  function foreign({ status, headers }: Response): Failure {
    const answer = `status ${status}, ${headers.get('content-type') ?? 'no content type'}`
    return new Failure('foreign', new Error(`${url} does not answer as Taskwell does (${answer})`))
  }

  return {
    async read(since, signal) {
      const query = since === undefined ? {} : { since }
      const { data, error, response } = await changes.get({ query, fetch: { signal } })
      if (error) return refuse(error, response)
      if (!isPage(data)) throw foreign(response)
      // React Native's `fetch` resolves only when the whole body is there, which for an event stream is never
      hasStreams = Boolean(response.body)
      return data
    },
    async open(since, signal) {
      if (!hasStreams) return undefined
      const { error, response } = await events.get({ query: { since }, fetch: { signal } })
      if (error) return refuse(error, response)
      if (!response.headers.get('content-type')?.startsWith('text/event-stream')) throw foreign(response)
      // not the call's own reader of events: it does not tell whether a connection is silent
      return response.body ?? undefined
    },
  }
}

function isPage(data: Partial<Changes> | null): data is Changes {
  return Array.isArray(data?.changes) && typeof data.cursor === 'string' && typeof data.has_more === 'boolean'
}
