/** The database as the rest sees it: every statement has a name, a deadline and an end, whatever the server does. */
import type { Logger } from 'pino'
import type { PendingQuery } from 'postgres'
import { type Host, nameOfHost, readAddress } from './address'
import { type Batchable, type Shared, share } from './batch'
import { READY_DEADLINE, withDeadline } from './deadline'
import {
  ConnectionLeft,
  codeOf,
  isCancelled,
  isElsewhere,
  isLost,
  NotReady,
  Unanswered,
  wasNeverSent,
} from './errors'
import { openPool, type Pool } from './pool'
import { createLook } from './primary'
import { NEVER, type QueryContext, type Statement, timeLeft } from './query-context'
import { nameOf, type Sql } from './sql'

export interface Database {
  /** For what no request waits for; each statement has as long as a request. */
  sql: Sql
  /** For one request. */
  sqlFor(context: QueryContext): Sql
  /** Makes one statement of many that wait at the same time. */
  share<Item, Answer>(shareable: Batchable<Item, Answer>): Shared<Item, Answer>
  /**
   * Asks whether the schema is as new as it has to be, and can be written to; on a connection of its own, so that a busy
   * pool is not taken for a dead server.
   *
   * @throws whatever keeps it from being ready; Unanswered after two seconds
   */
  checkReady(): Promise<void>
  /** How many statements are under way. */
  running(): number
  /** Ends all connections, of statements that are still under way after five seconds as well. */
  end(): Promise<void>
}

export interface DatabaseOptions {
  url: string
  poolSize: number
  prepare?: boolean
  /** How long a request may take, in milliseconds. */
  requestTimeout: number
  /** Told of every statement. */
  onStatement?: ((statement: Statement) => void) | undefined
  /** Where it is said what the server turns out not to have. */
  log?: Logger
}

/** The newest migration that the statements rely on. */
export const SCHEMA_VERSION = '20261121000003'

/** In milliseconds: how long a cancelled statement may take to end. */
const CANCEL_DEADLINE = 1000
/** How long a statement runs before anybody watches whether its client is still there; most have ended by then. */
const PATIENCE = 100
/** How long a statement runs before it is asked, of several hosts, whether another one is the primary by now. */
const SUSPICION = 1000

interface Connections {
  sql: Pool
  host: Host
  /** Of several hosts it was found to be the primary, and no connection has ended since. Of one, it always is. */
  isPrimary: boolean
  /** Checked on one connection: the encoding is UTF8 and, with several hosts, the server takes writes. */
  isVerified: boolean
  /** While it is asked. */
  verifying: Promise<void> | undefined
  features: Features
  /** When it last answered, on the clock of `performance.now()`. */
  answeredAt: number | undefined
  /** Every connection was: nothing has ever run here. */
  wasRefused: boolean
}

/** What is tried of a server, and given up where a pooler in front does not have it. */
interface Features {
  serverSettings: Record<string, string | number>
  prepare: boolean
}

/** How times are written. Poolers take these, because they are part of the protocol. */
const TEXT_OF_TIMES = { DateStyle: 'ISO', TimeZone: 'UTC' }

function serverSettings(requestTimeout: number): Features['serverSettings'] {
  return {
    // ends what we cannot, because we are gone
    statement_timeout: requestTimeout,
    // each statement has one plan that is right for all, and a list takes as long to plan as to run
    plan_cache_mode: 'force_generic_plan',
    ...TEXT_OF_TIMES,
  }
}

export function openDatabase({
  url,
  poolSize,
  prepare = true,
  requestTimeout,
  onStatement,
  log,
}: DatabaseOptions): Database {
  const address = readAddress(url)
  const { hosts, needsPrimary } = address
  const open = (features: Features, host: Host): Connections => {
    const connections: Connections = {
      sql: openPool({
        url: address,
        host,
        poolSize,
        ...features,
        // a server that was restarted may have become a standby
        ...(needsPrimary && { onClose: () => distrust(connections) }),
      }),
      host,
      isPrimary: !needsPrimary,
      isVerified: false,
      verifying: undefined,
      features,
      answeredAt: undefined,
      wasRefused: false,
    }
    return connections
  }
  const openProbe = (host: Host) => ({
    host,
    sql: openPool({
      url: address,
      host,
      poolSize: 1,
      prepare: false,
      fetchTypes: false,
      connectTimeout: READY_DEADLINE / 1000,
      idleTimeout: 30,
    }),
  })
  const look = createLook(address)
  let current = open({ prepare, serverSettings: serverSettings(requestTimeout) }, hosts[0])
  let probe = openProbe(current.host)
  let probing: Promise<void> | undefined
  let wasSilent = false
  let running = 0
  let hasEnded = false
  const underWay = new Set<() => void>()
  let hasToldOfEncoding = false

  /** All that follows goes over new connections. @param grace for how long statements under way may go on */
  function replace(
    connections: Connections,
    { features, host }: Pick<Connections, 'features' | 'host'> = connections,
    grace = requestTimeout,
  ): void {
    if (connections !== current || hasEnded) return
    current = open(features, host)
    void connections.sql.end({ timeout: grace / 1000 })
  }
  function distrust(connections: Connections): void {
    connections.isPrimary = !needsPrimary
    connections.isVerified = false
  }
  /** All that follows goes to the host that takes writes. @throws what `findPrimary` throws */
  async function choose(): Promise<void> {
    const host = await look()
    if (host !== current.host) {
      log?.warn({ host: nameOfHost(host) }, 'the primary is another host')
      replace(current, { ...current, host }, 0)
      // answers of the old primary are ignored
      for (const leave of underWay) leave()
    }
    current.isPrimary = true
  }
  /** Lets nothing through to a database that could not store every text, or would store it wrongly. */
  function refuseOtherEncodings(sql: Pool): void {
    if (isUtf8(sql)) return
    if (!hasToldOfEncoding) {
      log?.error(
        { encoding: sql.parameters['server_encoding'] },
        'the database is refused: its encoding has to be UTF8',
      )
    }
    hasToldOfEncoding = true
    throw new NotReady('NOT_UTF8')
  }
  /** @returns whether the statement was refused, not run, for something that it can do without */
  function giveUpFeature(connections: Connections, error: unknown): boolean {
    const { features } = connections
    const code = codeOf(error)
    // without `statement_timeout` we rely on cancel requests, which poolers accept
    const hasSettings = Object.keys(features.serverSettings).length > 0
    if (hasSettings && code === '08P01' && /startup param/.test(String(error))) {
      if (connections === current)
        log?.info('the pooler takes no settings such as statement_timeout: going on without')
      const kept = 'statement_timeout' in features.serverSettings ? TEXT_OF_TIMES : {}
      replace(connections, { ...connections, features: { ...features, serverSettings: kept } }, 0)
      connections.wasRefused = true
      return true
    }
    if (features.prepare && code === '26000') {
      if (connections === current) {
        log?.warn('the pooler loses prepared statements: going on without them; set DATABASE_PREPARE=off')
      }
      replace(connections, { ...connections, features: { ...features, prepare: false } })
      return true
    }
    return false
  }
  /** @returns how often a statement that has failed so may be run again */
  function retriesOf(
    connections: Connections,
    error: unknown,
    isSent: boolean,
    { isSafe }: QueryContext,
  ): 'any number' | 'once' | 'never' {
    if (error instanceof Unanswered) return 'never'
    const wasNotRun =
      giveUpFeature(connections, error) ||
      connections.wasRefused ||
      (connections !== current && wasNeverSent(error))
    if (wasNotRun) return 'any number'
    if (needsPrimary && isElsewhere(error)) {
      distrust(connections)
      return 'once'
    }
    // cancelled, it has done nothing; most likely the word to cancel another statement came late, and met this one
    return isCancelled(error) || ((isSafe || !isSent) && isLost(error)) ? 'once' : 'never'
  }
  /** Asks new connections whether they lead to a database that will do; once for all who wait for that. */
  function verify(connections: Connections): Promise<void> {
    connections.verifying ??= askNew(connections).finally(() => {
      connections.verifying = undefined
    })
    return connections.verifying
  }
  async function askNew(connections: Connections): Promise<void> {
    const { sql } = connections
    connections.isVerified = false
    const asked = sql<
      { read_only: string | null }[]
    >`select current_setting('transaction_read_only') as read_only`
    const [row] = await answer(asked, background(requestTimeout), () => replace(connections))
    if (needsPrimary && row?.read_only !== 'off') throw new NotReady('READ_ONLY')
    refuseOtherEncodings(sql)
    connections.isVerified = true
  }
  /**
   * Of several hosts: looks every second, while a statement is under way, whether its host is still the primary.
   *
   * @throws ConnectionLeft if it is not
   */
  function suspecting<T>(statement: Promise<T>): Promise<T> {
    if (!needsPrimary) return statement
    const { promise, reject } = Promise.withResolvers<never>()
    const leave = () => reject(new ConnectionLeft())
    const timer = setInterval(() => void choose().catch(() => {}), SUSPICION)
    underWay.add(leave)
    return Promise.race([statement, promise]).finally(() => {
      clearInterval(timer)
      underWay.delete(leave)
    })
  }
  async function run<Rows extends readonly object[]>(
    context: QueryContext,
    [template, ...parameters]: Parameters<Sql>,
  ): Promise<Rows> {
    const name = nameOf(template)
    const startedAt = performance.now()
    let failed = false
    let errorCode: string | undefined
    running++
    try {
      for (let isSecondTry = false; ; ) {
        let connections = current
        let isSent = false
        try {
          if (timeLeft(context) === 0) throw new Unanswered('DEADLINE')
          if (!connections.isPrimary) await withDeadline(choose(), { ms: timeLeft(context) })
          connections = current
          // a later connection may have been made to another database in the same place
          if (!connections.isVerified || !isUtf8(connections.sql)) {
            await suspecting(withDeadline(verify(connections), { ms: timeLeft(context) }))
          }
          isSent = true
          const query = connections.sql<Rows[number][]>(template, ...parameters)
          const rows = await suspecting(answer(query, context, () => replace(connections)))
          connections.answeredAt = performance.now()
          return rows as unknown as Rows
        } catch (error) {
          const retries = retriesOf(connections, error, isSent, context)
          if (retries === 'never' || (retries === 'once' && isSecondTry)) throw error
          isSecondTry ||= retries === 'once'
        }
      }
    } catch (error) {
      // a client that goes away is no failure of the statement
      errorCode = codeOf(error)
      failed = errorCode !== 'ABANDONED'
      throw error
    } finally {
      running--
      const seen = { name, startedAt, ms: performance.now() - startedAt, failed, errorCode }
      context.onStatement(seen)
      onStatement?.(seen)
    }
  }
  async function ask(): Promise<void> {
    if (probe.host !== current.host) reopenProbe()
    const { sql } = probe
    const askedAt = performance.now()
    const onSilence = () => {
      wasSilent = true
      reopenProbe()
      const { answeredAt } = current
      // connections that have gone silent do not come back, though new ones may be made
      if (answeredAt !== undefined && answeredAt < askedAt) replace(current)
    }
    const asked = sql<{ read_only: string | null }[]>`
      select current_setting('transaction_read_only') as read_only
      from schema_migrations where version = ${SCHEMA_VERSION}`
    const rows = await withDeadline(asked, { onSilence }).catch((error) => {
      // the error may be a consequence of the encoding, with which some migrations cannot be made
      refuseOtherEncodings(sql)
      // no table of migrations: nothing was ever migrated there
      throw codeOf(error) === '42P01' ? new NotReady('SCHEMA_OUTDATED') : error
    })
    // what it was connecting with meanwhile may wait for an answer that does not come
    if (wasSilent && current.answeredAt === undefined) replace(current)
    wasSilent = false
    refuseOtherEncodings(sql)
    const [row] = rows
    if (row === undefined) throw new NotReady('SCHEMA_OUTDATED')
    if (row.read_only !== 'off') throw new NotReady('READ_ONLY')
  }
  function reopenProbe(): void {
    void probe.sql.end({ timeout: 0 })
    probe = openProbe(current.host)
  }
  async function check(isSecondTry = false): Promise<void> {
    if (!current.isPrimary) await choose()
    try {
      await ask()
    } catch (error) {
      const isSilent = error instanceof Unanswered
      if (!needsPrimary || !(isSilent || isElsewhere(error) || isLost(error))) throw error
      distrust(current)
      // after a silence, there is no time left
      if (isSilent || isSecondTry) throw error
      return check(true)
    }
  }

  const sqlFor =
    (context: QueryContext): Sql =>
    (...statement) =>
      run(context, statement)
  return {
    sql: (...statement) => run(background(requestTimeout), statement),
    sqlFor,
    share: (shareable) => share(sqlFor, shareable),
    checkReady() {
      probing ??= withDeadline(check(), { ms: 2 * READY_DEADLINE }).finally(() => {
        probing = undefined
      })
      return probing
    },
    running: () => running,
    async end() {
      hasEnded = true
      await Promise.all([current.sql.end({ timeout: 5 }), probe.sql.end({ timeout: 0 })])
    },
  }
}

function isUtf8({ parameters: { server_encoding } }: Pool): boolean {
  return server_encoding === undefined || server_encoding === 'UTF8'
}

function background(requestTimeout: number): QueryContext {
  return {
    deadline: performance.now() + requestTimeout,
    isSafe: false,
    signal: NEVER,
    onStatement: () => {},
  }
}

/**
 * Waits as long as the context does, and no longer.
 *
 * @param onSilence called when the statement does not even end after it was cancelled: its connection is dead
 * @throws Unanswered
 */
function answer<Row extends readonly object[]>(
  query: PendingQuery<Row & object[]>,
  context: QueryContext,
  onSilence: () => void,
): Promise<Row> {
  return new Promise((resolve, reject) => {
    let unwatch: (() => void) | undefined
    const timer = setTimeout(
      () => {
        unwatch = watch(query, context, onSilence, reject)
      },
      Math.min(PATIENCE, timeLeft(context)),
    )
    query.then(
      (rows) => {
        clearTimeout(timer)
        unwatch?.()
        resolve(rows)
      },
      (error) => {
        clearTimeout(timer)
        unwatch?.()
        reject(error)
      },
    )
  })
}

/** Cancels a statement when its time is over, or nobody waits any more. @returns what ends that */
function watch(
  query: Promise<unknown> & { cancel(): void },
  context: QueryContext,
  onSilence: () => void,
  reject: (reason: Unanswered) => void,
): () => void {
  const giveUp = (code: Unanswered['code']) => {
    unwatch()
    reject(new Unanswered(code))
    query.cancel()
    watchEnd(query, onSilence)
  }
  const onAbort = () => giveUp('ABANDONED')
  const timer = setTimeout(() => giveUp('DEADLINE'), timeLeft(context))
  const unwatch = () => {
    clearTimeout(timer)
    context.signal.removeEventListener('abort', onAbort)
  }
  if (context.signal.aborted) onAbort()
  else context.signal.addEventListener('abort', onAbort)
  return unwatch
}

/** A cancelled statement that waits behind another one, on the same connection, ends after that one. */
function watchEnd(query: Promise<unknown>, onSilence: () => void): void {
  // the driver's own word, which its types leave out: the connection works on this one
  const isActive = () => 'active' in query && query.active === true
  let wasActive = isActive()
  const timer = setInterval(() => {
    if (wasActive && isActive()) {
      clearInterval(timer)
      onSilence()
    }
    wasActive = isActive()
  }, CANCEL_DEADLINE)
  const calm = () => clearInterval(timer)
  query.then(calm, calm)
}
