/** A PostgreSQL of a test's own, to be stopped, frozen, killed, filled and demoted. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { migrate } from '../../src/database/migrations'
import { startEmbedded } from '../../src/embedded/server'
import { commandOf } from '../../src/system/processes'

export interface OwnPostgres {
  /** Where it is now: each start takes another port. */
  url(): string
  port(): number
  /** Beside the service; not through any proxy. */
  sql(): postgres.Sql
  /** As an operator stops it: clients are told, and cut off. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Kills all of its processes at once; `start` recovers what was committed. */
  kill(): Promise<void>
  /** One of its processes crashes: it cuts everybody off, recovers, and goes on at the same port. */
  crash(): Promise<void>
  /** Stops all of its processes: connections are taken, and nothing is answered. */
  freeze(): void
  thaw(): void
  /** Ends the service's connections, as an operator would, or only those that wait for a lock. @returns how many there were */
  terminate(which?: 'all' | 'waiting'): Promise<number>
  /** Makes it refuse writes, as the wrong one of a pair does after a failover; or take them again. */
  setReadOnly(isReadOnly: boolean): Promise<void>
  /** Takes every connection that there is. @returns what gives them back */
  exhaust(): Promise<() => Promise<void>>
  /** Makes every statement on tasks wait, or only writes. @returns what lets them go on */
  hold(mode: 'reads' | 'writes'): Promise<() => Promise<void>>
  /** How many requests' statements wait for a lock. */
  waiting(): Promise<number>
  /** How many requests' statements are under way. */
  active(): Promise<number>
  /** How many connections the service has. */
  connections(): Promise<number>
  remove(): Promise<void>
}

/** Makes it, migrated. */
export async function startOwnPostgres(): Promise<OwnPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-own-'))
  let embedded = await startEmbedded(folder)
  let admin = openAdmin(embedded.url)
  let frozen: number[] = []

  async function start(): Promise<void> {
    embedded = await startEmbedded(folder)
    admin = openAdmin(embedded.url)
  }
  async function stop(): Promise<void> {
    await admin.end({ timeout: 0 })
    await embedded.stop()
  }
  function freeze(): void {
    frozen = freezePostgres(folder)
  }
  function thaw(): void {
    for (const pid of frozen) send(pid, 'SIGCONT')
    frozen = []
  }
  async function kill(): Promise<void> {
    const killed = killPostgres(folder)
    // or it would be started again
    await stop()
    await killed
  }
  await migrate(embedded.url, 'up', true)
  await admin`alter system set max_connections = 30`
  await stop()
  await start()

  return {
    url: () => embedded.url,
    port: () => Number(new URL(embedded.url).port),
    sql: () => admin,
    stop,
    start,
    kill,
    freeze,
    thaw,
    async crash() {
      const [victim] = await admin<{ pid: number }[]>`select pg_backend_pid() as pid`
      if (victim) send(victim.pid, 'SIGKILL')
      while (!(await admin`select 1`.catch(() => undefined))) await Bun.sleep(10)
    },
    async terminate(which = 'all') {
      const ended = await admin`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'taskwell' and (${which} = 'all' or wait_event_type = 'Lock')`
      return ended.length
    },
    async setReadOnly(isReadOnly) {
      if (isReadOnly) await admin`alter system set default_transaction_read_only = on`
      else await admin`alter system reset default_transaction_read_only`
      await admin`select pg_reload_conf()`
    },
    exhaust: () => exhaust(embedded.url),
    // a write begins with its user, a read of tasks ends with them
    hold: (what) =>
      keep(embedded.url, (sql) =>
        what === 'writes'
          ? sql`lock table users in share mode`
          : sql`lock table tasks in access exclusive mode`,
      ),
    waiting: async () => (await requested(admin)).filter(({ is_waiting }) => is_waiting).length,
    active: async () => (await requested(admin)).length,
    connections: async () =>
      (await admin`select from pg_stat_activity where application_name = 'taskwell'`).length,
    async remove() {
      thaw()
      await stop()
      await rm(folder, { recursive: true })
    },
  }
}

function openAdmin(url: string): postgres.Sql {
  return postgres(url, {
    max: 2,
    backoff: () => 0.02,
    onnotice: () => {},
    // also where nobody else may write
    connection: { application_name: 'test', default_transaction_read_only: false },
  })
}

async function exhaust(url: string): Promise<() => Promise<void>> {
  const held: postgres.Sql[] = []
  for (;;) {
    const one = postgres(url, { max: 1, onnotice: () => {} })
    held.push(one)
    try {
      await one`select 1`
    } catch {
      break
    }
  }
  return async () => void (await Promise.all(held.map((each) => each.end({ timeout: 0 }))))
}

/** The service's statements under way, but for those of its own accord. */
function requested(sql: postgres.Sql): Promise<{ is_waiting: boolean }[]> {
  return sql<{ is_waiting: boolean }[]>`
    select coalesce(wait_event_type = 'Lock', false) as is_waiting from pg_stat_activity
    where application_name = 'taskwell' and state = 'active' and query !~ '-- purge'`
}

/** Keeps a transaction open until it is told not to. */
async function keep(
  url: string,
  begin: (sql: postgres.Sql) => Promise<unknown>,
): Promise<() => Promise<void>> {
  const pool = postgres(url, { max: 1, onnotice: () => {} })
  const sql = await pool.reserve()
  await sql`begin`
  await begin(sql)
  return () => pool.end({ timeout: 0 })
}

/** Kills the server that runs in a folder, with all of its processes. */
export async function killPostgres(folder: string): Promise<void> {
  // stopped first, so that it starts no other meanwhile
  const killed = freezePostgres(folder)
  for (const pid of killed) send(pid, 'SIGKILL')
  // their parent may not have reaped them yet: the next start has to wait for that
  while (killed.some((pid) => commandOf(pid) !== '')) await Bun.sleep(1)
}

function freezePostgres(folder: string): number[] {
  const postmaster = postmasterOf(folder)
  send(postmaster, 'SIGSTOP')
  const all = [postmaster, ...childrenOf(postmaster)]
  for (const pid of all) send(pid, 'SIGSTOP')
  return all
}

function postmasterOf(folder: string): number {
  return Number(readFileSync(join(folder, 'postgres/postmaster.pid'), 'utf8').split('\n')[0])
}

function childrenOf(parent: number): number[] {
  const table = Bun.spawnSync(['ps', '-A', '-o', 'pid=,ppid=']).stdout.toString()
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  return rows.filter(([, ppid]) => ppid === parent).map(([pid]) => Number(pid))
}

/** To a process that may have ended meanwhile. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {}
}
