/** With several hosts: sends statements to another host when that one has become the primary. */
import { type Host, nameOfHost } from './address'
import type { Connections } from './connections'
import { ConnectionLeft } from './errors'
import { findPrimary } from './primary'

/** How often a statement's host is checked while the statement runs, in milliseconds. */
const CHECK_INTERVAL = 1000
/** How long after a failed search no other one begins, in milliseconds. */
const SEARCH_PAUSE = 100

export type Failover = ReturnType<typeof createFailover>

export function createFailover(connections: Connections) {
  const { address, log, current, replace } = connections
  let primary: Host | undefined
  let search: Promise<Host> | undefined
  const running = new Set<() => void>()

  async function find(): Promise<Host> {
    try {
      primary = await findPrimary(address, primary)
      search = undefined
      return primary
    } catch (error) {
      setTimeout(() => {
        search = undefined
      }, SEARCH_PAUSE)
      throw error
    }
  }
  /** Finds the primary, and sends all later statements there. @throws what `findPrimary` throws */
  async function choosePrimary(): Promise<void> {
    // callers at the same moment share one search
    search ??= find()
    const host = await search
    const pool = current()
    if (host !== pool.host) {
      log?.warn({ host: nameOfHost(host) }, 'the primary is another host')
      replace(pool, { ...pool, host }, 0)
      // answers of the old primary are ignored
      for (const leave of running) leave()
    }
    current().isPrimary = true
  }
  async function check(): Promise<void> {
    try {
      await choosePrimary()
    } catch {
      // the statement goes on: its host may be the only one that answers
    }
  }
  /** Checks, while a statement runs, whether its host is still the primary. @throws ConnectionLeft if it is not */
  function watch<T>(statement: Promise<T>): Promise<T> {
    if (!address.needsPrimary) return statement
    const { promise, reject } = Promise.withResolvers<never>()
    const leave = () => reject(new ConnectionLeft())
    const timer = setInterval(check, CHECK_INTERVAL)
    running.add(leave)
    return Promise.race([statement, promise]).finally(() => {
      clearInterval(timer)
      running.delete(leave)
    })
  }
  return { choosePrimary, watch }
}
