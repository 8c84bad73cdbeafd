/** Locks the folder of the embedded database, so that one process has it. */
import { Database, SQLiteError } from 'bun:sqlite'
import { join } from 'node:path'

/** Another process has this folder, and the lock shows that it is alive. */
export class FolderInUse extends Error {
  constructor(dataDir: string) {
    super(`Another Taskwell process is using ${dataDir}. Stop it, or set DATA_DIR to another folder.`)
  }
}

/**
 * Takes the folder. The lock is an exclusive SQLite transaction, which the kernel ends with the process, also after
 * `kill -9`. A file with a process id in it would stay behind, and ids are used again.
 *
 * @returns a function that gives the folder back
 * @throws FolderInUse if another process has it
 */
export function lockFolder(folder: string): () => void {
  const file = new Database(join(folder, 'lock'))
  try {
    file.run('begin exclusive')
  } catch (error) {
    file.close()
    throw error instanceof SQLiteError && error.code === 'SQLITE_BUSY' ? new FolderInUse(folder) : error
  }
  return () => file.close()
}
