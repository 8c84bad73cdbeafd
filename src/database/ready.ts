/** Whether the database can serve requests. */
import { codeOf } from '../system/errors'
import type { Connections } from './connections'
import { READY_DEADLINE, withDeadline } from './deadline'
import { isElsewhere, isLost, NotReady, Unanswered } from './errors'
import type { Failover } from './failover'
import { openProbe } from './pool'
import { newestMigration } from './schema-version' with { type: 'macro' }

/** The newest migration that the statements rely on. */
export const SCHEMA_VERSION = newestMigration()

/** Asks on a connection of its own, the probe, so that a busy pool is not taken for a dead server. */
export function createReadiness(connections: Connections, failover: Failover) {
  const { address, current, replace, refuseOtherEncodings } = connections
  let probe = open()
  let checking: Promise<void> | undefined
  let wasSilent = false

  function open() {
    const { host } = current()
    return { host, sql: openProbe(address, host) }
  }
  function reopen(): void {
    void end()
    probe = open()
  }
  function end(): Promise<void> {
    return probe.sql.end({ timeout: 0 })
  }
  async function ask(): Promise<void> {
    if (probe.host !== current().host) reopen()
    const { sql } = probe
    const askedAt = performance.now()
    const asked = sql<{ read_only: string | null }[]>`
      select current_setting('transaction_read_only') as read_only
      from schema_migrations where version = ${SCHEMA_VERSION}`
    const [row] = await withDeadline(asked, READY_DEADLINE, () => onSilence(askedAt)).catch((error) => {
      // the error may come from the encoding, with which some migrations cannot be made
      refuseOtherEncodings(sql)
      // there is no table of migrations: the database was never migrated
      throw codeOf(error) === '42P01' ? new NotReady('SCHEMA_OUTDATED') : error
    })
    // connections that were begun during the silence may wait for ever
    if (wasSilent && current().answeredAt === undefined) replace(current())
    wasSilent = false
    refuseOtherEncodings(sql)
    if (row === undefined) throw new NotReady('SCHEMA_OUTDATED')
    if (row.read_only !== 'off') throw new NotReady('READ_ONLY')
  }
  function onSilence(askedAt: number): void {
    wasSilent = true
    reopen()
    const { answeredAt } = current()
    // silent connections do not come back, though new ones may be made
    if (answeredAt !== undefined && answeredAt < askedAt) replace(current())
  }
  async function askPrimary(isSecondTry = false): Promise<void> {
    if (!current().isPrimary) await failover.choosePrimary()
    try {
      await ask()
    } catch (error) {
      const isSilent = error instanceof Unanswered
      const isSuspect = isSilent || isElsewhere(error) || isLost(error)
      if (!address.needsPrimary || !isSuspect) throw error
      connections.distrust(current())
      // after a silence, there is no time left
      if (isSilent || isSecondTry) throw error
      return askPrimary(true)
    }
  }
  /** Callers at the same time share one check. @throws as `Database.checkReady` does */
  function check(): Promise<void> {
    checking ??= withDeadline(askPrimary(), 2 * READY_DEADLINE).finally(() => {
      checking = undefined
    })
    return checking
  }
  return { check, end }
}
