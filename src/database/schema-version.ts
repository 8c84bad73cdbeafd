/** Called as a macro, when the program is read or built: a binary has no folder of migrations. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** @returns the number of the newest migration, which the statements rely on */
export function newestMigration(): string {
  const files = readdirSync(join(import.meta.dir, '../../db/migrations')).toSorted()
  const [version] = files.at(-1)?.split('_') ?? []
  if (version === undefined) throw new Error('There are no migrations')
  return version
}
