/** Which of several hosts is the primary: the one that takes writes. */
import type { Host } from './address'
import { openPool } from './connection'
import { READY_DEADLINE, withDeadline } from './deadline'
import { codeOf, NotReady } from './errors'

/** How long the primary of before may take longer than another that takes writes, in milliseconds. */
const GRACE = 500

/**
 * Asks all at once, so that one that is dead costs nothing while another answers.
 *
 * @param before the primary until now: while it takes writes, it stays the primary, whatever the others say
 * @throws NotReady if some answer and none takes writes; else what the first one failed with, after a second at most
 */
export async function findPrimary(url: string, hosts: readonly Host[], before?: Host): Promise<Host> {
  const old = before && ask(url, before, true)
  const others = hosts.filter((host) => host !== before).map((host) => ask(url, host))
  const first = Promise.any(others)
  try {
    if (!old) return await first
    const oldHasAnswered = old.then(
      () => {},
      () => {},
    )
    const next = first.then(async (host) => {
      await Promise.race([oldHasAnswered, Bun.sleep(GRACE)])
      return host
    })
    return await Promise.any([old, next])
  } catch {
    throw await mostTelling([...others, ...(old ? [old] : [])])
  }
}

/** For how long it is remembered that there was no primary, in milliseconds. */
const PAUSE = 250

/** @returns what finds the primary for all who ask at once, and sticks to the one that it found last */
export function createLook(url: string, hosts: readonly Host[]): () => Promise<Host> {
  let before: Host | undefined
  let looking: Promise<Host> | undefined
  const forget = () => {
    looking = undefined
  }
  return () => {
    if (looking) return looking
    looking = findPrimary(url, hosts, before)
    looking.then(
      (host) => {
        before = host
        forget()
      },
      () => setTimeout(forget, PAUSE),
    )
    return looking
  }
}

async function ask(url: string, host: Host, wasPrimary = false): Promise<Host> {
  const options = { poolSize: 1, prepare: false, fetchTypes: false, connectTimeout: READY_DEADLINE / 1000 }
  const sql = openPool({ url, host, ...options })
  try {
    const [row] = await withDeadline(
      sql<{ read_only: string }[]>`select current_setting('transaction_read_only') as read_only`,
    )
    if (row?.read_only !== 'off') throw new NotReady('READ_ONLY')
    return host
  } catch (error) {
    // it has no connection left for the question, but serves those that it has
    if (wasPrimary && codeOf(error) === '53300') return host
    throw error
  } finally {
    void sql.end({ timeout: 0 })
  }
}

async function mostTelling(failed: readonly Promise<Host>[]): Promise<unknown> {
  const errors = (await Promise.allSettled(failed)).flatMap((each) =>
    each.status === 'rejected' ? [each.reason] : [],
  )
  return errors.find((error) => error instanceof NotReady) ?? errors[0]
}
