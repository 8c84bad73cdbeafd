/** PostgreSQL servers of a test's own, whose settings it chooses: standbys, encodings, TLS, where they listen. */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { createLauncher, findBinaries, spawn } from '../../src/embedded/account'
import { freePort } from '../../src/system/free-port'
import { killPostgres } from './own-postgres'

/** Of every cluster's only role, `postgres`. */
export const PASSWORD = 'the password of tests'

export interface Cluster {
  /** Its files are in `postgres` below, its log beside it. */
  folder: string
  port: number
  url(database?: string): string
  /** A connection to its database `postgres`, closed with the cluster. */
  sql(): postgres.Sql
  /** Writes a file below the data folder. */
  write(name: string, content: string): Promise<string>
  /** Starts it, and waits until it answers. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>
  /** As an operator stops it: clients are cut off, everything is written. */
  stop(): Promise<void>
  /** Kills all of its processes at once. */
  kill(): Promise<void>
  remove(): Promise<void>
}

/** Makes one with this encoding, not started yet. */
export async function createCluster(encoding = 'UTF8'): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-cluster-'))
  const { initdb } = await findBinaries()
  const data = join(folder, 'postgres')
  const launcher = await createLauncher({ postgres: initdb, initdb }, data)
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, PASSWORD)
  if (launcher.owner) {
    for (const path of [folder, passwordFile]) await chown(path, launcher.owner.uid, launcher.owner.gid)
  }
  const options = ['--username=postgres', '--auth=scram-sha-256', '--locale=C', `--encoding=${encoding}`]
  const command = [initdb, `--pgdata=${data}`, `--pwfile=${passwordFile}`, '--no-sync', ...options]
  const log = openSync(join(folder, 'initdb.log'), 'w')
  const code = await spawn(launcher, command, log).exited
  closeSync(log)
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${readFileSync(join(folder, 'initdb.log'))}`)
  return openCluster(folder)
}

/** @param folder as `createCluster` makes it */
export async function openCluster(folder: string): Promise<Cluster> {
  const binaries = await findBinaries()
  const data = join(folder, 'postgres')
  const launcher = await createLauncher(binaries, data)
  const port = await freePort()
  let server: Bun.Subprocess | undefined
  let sql: postgres.Sql | undefined

  async function end(how: () => unknown): Promise<void> {
    await sql?.end({ timeout: 0 })
    sql = undefined
    await how()
    await server?.exited
    server = undefined
  }
  const url = (database = 'postgres') =>
    `postgres://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${database}`
  const stop = () => end(() => server?.kill('SIGINT'))
  return {
    folder,
    port,
    url,
    sql() {
      sql ??= postgres(url(), { max: 2, backoff: () => 0.02, onnotice: () => {} })
      return sql
    },
    async write(name, content) {
      const path = join(data, name)
      await writeFile(path, content, { mode: 0o600 })
      if (launcher.owner) await chown(path, launcher.owner.uid, launcher.owner.gid)
      return path
    },
    async start(settings = {}) {
      const all = {
        port,
        listen_addresses: '127.0.0.1',
        unix_socket_directories: '',
        fsync: 'off',
        ...settings,
      }
      const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
      const log = openSync(join(folder, 'postgres.log'), 'a')
      server = spawn(launcher, [binaries.postgres, '-D', data, ...options], log)
      closeSync(log)
      while (!isUp(data, server.pid)) {
        if (server.exitCode !== null) throw new Error(readFileSync(join(folder, 'postgres.log'), 'utf8'))
        await Bun.sleep(10)
      }
    },
    stop,
    kill: () => end(() => killPostgres(folder)),
    async remove() {
      if (server) await stop()
      await rm(folder, { recursive: true })
    },
  }
}

/** A primary says `ready`, a standby that takes reads `standby`. */
function isUp(data: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
    return Number(lines[0]) === pid && /^(?:ready|standby)\s*$/.test(lines[7] ?? '')
  } catch {
    return false
  }
}
