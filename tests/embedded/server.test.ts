import { afterAll, describe, expect, test } from 'bun:test'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { FolderInUse } from '../../src/embedded/lock'
import { runningUrl, startEmbedded } from '../../src/embedded/server'

const folders: string[] = []
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

async function newFolder(): Promise<string> {
  // 0700, as a private folder is: another account cannot enter it
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-embedded-'))
  folders.push(folder)
  return join(folder, 'data')
}

async function query<T>(url: string, run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    return await run(sql)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

function isAlive(pid: number): boolean {
  try {
    // a process that has ended but was not yet waited for has no command
    return process.kill(pid, 0) && (process.platform !== 'linux' || commandOf(pid) !== '')
  } catch {
    return false
  }
}

function commandOf(pid: number): string {
  return Bun.spawnSync(['cat', `/proc/${pid}/cmdline`]).stdout.toString()
}

async function serverPid(folder: string): Promise<number> {
  return Number((await readFile(join(folder, 'postgres/postmaster.pid'), 'utf8')).split('\n')[0])
}

async function isServedBy(folder: string, isWanted: (pid: number) => boolean): Promise<boolean> {
  await Bun.sleep(10)
  if (runningUrl(folder) === undefined) return false
  // the next server's start removes the file that a killed one has left
  const pid = await serverPid(folder).catch(() => undefined)
  return pid !== undefined && isWanted(pid)
}

describe('the embedded database', () => {
  test('keeps its data from one start to the next, and leaves nothing running', async () => {
    const folder = await newFolder()
    const first = await startEmbedded(folder)
    const pid = await serverPid(folder)
    await query(first.url, (sql) => sql`create table kept as select 42 as answer`)
    await first.stop()
    expect(isAlive(pid)).toBe(false)
    const second = await startEmbedded(folder)
    expect(await query(second.url, (sql) => sql`select answer from kept`)).toEqual([{ answer: 42 }] as never)
    await second.stop()
  })

  test('asks for its password, which only its owner can read', async () => {
    const folder = await newFolder()
    const { url, stop } = await startEmbedded(folder)
    const wrong = url.replace(/:[^:@/]+@/, ':wrong@')
    await expect(query(wrong, (sql) => sql`select 1`)).rejects.toMatchObject({ code: '28P01' })
    expect((await stat(join(folder, 'database-password'))).mode & 0o077).toBe(0)
    await stop()
  })

  test('serves one process at a time', async () => {
    const folder = await newFolder()
    const { url, stop } = await startEmbedded(folder)
    await expect(startEmbedded(folder)).rejects.toThrow(FolderInUse)
    expect(runningUrl(folder)).toBe(url)
    await stop()
    expect(runningUrl(folder)).toBeUndefined()
  })

  test('starts again when its process was killed and has left the server running', async () => {
    const folder = await newFolder()
    const script = `
      import { startEmbedded } from './src/embedded/server'
      console.log((await startEmbedded(process.argv[1])).url)
      await new Promise(() => setInterval(() => {}, 1000))`
    const child = Bun.spawn([process.execPath, '-e', script, folder], { stdout: 'pipe', stderr: 'inherit' })
    const { value } = await child.stdout.getReader().read()
    const url = new TextDecoder().decode(value).trim()
    await query(url, (sql) => sql`create table kept as select 42 as answer`)
    child.kill('SIGKILL')
    await child.exited
    const leftover = await serverPid(folder)
    expect(isAlive(leftover)).toBe(true)
    const again = await startEmbedded(folder)
    expect(isAlive(leftover)).toBe(false)
    expect(await query(again.url, (sql) => sql`select answer from kept`)).toEqual([{ answer: 42 }] as never)
    await again.stop()
  })

  test('is started again, at the same address, when its server ends though nobody stopped it', async () => {
    const folder = await newFolder()
    let losses = 0
    const { url, stop } = await startEmbedded(folder, () => losses++)
    await query(url, (sql) => sql`create table kept as select 42 as answer`)
    const pid = await serverPid(folder)
    process.kill(pid, 'SIGKILL')
    while (!(await isServedBy(folder, (other) => other !== pid)));
    expect(await query(url, (sql) => sql`select answer from kept`)).toEqual([{ answer: 42 }] as never)
    expect(losses).toBe(1)
    const next = await serverPid(folder)
    await stop()
    expect(isAlive(next)).toBe(false)
  })

  test('is started again as soon as it can be, when it cannot be for a while', async () => {
    const folder = await newFolder()
    const { url, stop } = await startEmbedded(folder)
    const pid = await serverPid(folder)
    const settings = join(folder, 'postgres/postgresql.conf')
    await writeFile(settings, 'nonsense')
    process.kill(pid, 'SIGKILL')
    while (!(await readFile(join(folder, 'postgres.log'), 'utf8')).includes('syntax error'))
      await Bun.sleep(10)
    await writeFile(settings, '')
    while (!(await isServedBy(folder, (other) => other !== pid)));
    expect(await query(url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }] as never)
    await stop()
  })

  test('can be stopped while its server is being started again', async () => {
    const folder = await newFolder()
    const lost = Promise.withResolvers<void>()
    const { stop } = await startEmbedded(folder, lost.resolve)
    process.kill(await serverPid(folder), 'SIGKILL')
    await lost.promise
    await stop()
    // the folder is free, and nothing runs in it
    const again = await startEmbedded(folder)
    await again.stop()
  })

  test('starts again when the server was killed with everything', async () => {
    const folder = await newFolder()
    const first = await startEmbedded(folder)
    await query(first.url, (sql) => sql`create table kept as select 42 as answer`)
    process.kill(await serverPid(folder), 'SIGKILL')
    await first.stop()
    const again = await startEmbedded(folder)
    expect(await query(again.url, (sql) => sql`select answer from kept`)).toEqual([{ answer: 42 }] as never)
    await again.stop()
  })

  test('starts again when the pid in a stale file is another program’s by now', async () => {
    const folder = await newFolder()
    await (await startEmbedded(folder)).stop()
    const pidFile = join(folder, 'postgres/postmaster.pid')
    await writeFile(pidFile, `${process.pid}\n${folder}\n0\n5432\n\n\n\nready\n`)
    await chmod(pidFile, 0o644)
    const again = await startEmbedded(folder)
    expect(await serverPid(folder)).not.toBe(process.pid)
    await again.stop()
  })

  test('does not count as running when only its pid file is left', async () => {
    const folder = await newFolder()
    const ended = Bun.spawn(['true'])
    await ended.exited
    await Bun.write(
      join(folder, 'postgres/postmaster.pid'),
      `${ended.pid}\n${folder}\n0\n5432\n\n\n\nready\n`,
    )
    expect(runningUrl(folder)).toBeUndefined()
  })

  test('is made anew when its making was cut short', async () => {
    const folder = await newFolder()
    await (await startEmbedded(folder)).stop()
    await rm(join(folder, 'postgres'), { recursive: true })
    await Bun.write(join(folder, 'postgres.new/PG_VERSION'), '18')
    const again = await startEmbedded(folder)
    expect(await query(again.url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }] as never)
    await again.stop()
  })

  test('says what is wrong with a lock that is no lock, instead of naming another process', async () => {
    const folder = await newFolder()
    await Bun.write(join(folder, 'lock'), 'x'.repeat(4096))
    await expect(startEmbedded(folder)).rejects.toThrow('not a database')
  })

  test('says which setting names a folder that cannot be made', async () => {
    await expect(startEmbedded('/proc/nope')).rejects.toThrow(
      'DATA_DIR: the folder cannot be made or used (ENOENT)',
    )
  })

  test('says where its log is when it cannot start, and frees the folder', async () => {
    const folder = await newFolder()
    await (await startEmbedded(folder)).stop()
    await writeFile(join(folder, 'postgres/postgresql.conf'), 'nonsense')
    await expect(startEmbedded(folder)).rejects.toThrow('postgres.log')
    await writeFile(join(folder, 'postgres/postgresql.conf'), '')
    await (await startEmbedded(folder)).stop()
  })
})
