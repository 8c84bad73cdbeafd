/** Random secrets of a development machine: made once, kept in a file that only its owner can read. */
import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** @returns the secret of that name in the folder; 256 bits, base64url */
export function keptSecret(folder: string, name: string): string {
  const file = join(folder, name)
  mkdirSync(folder, { recursive: true })
  return read(file) ?? make(file)
}

/** Linked to its place whole: of two processes at once one makes it, and both read the same. */
function make(file: string): string {
  const unfinished = `${file}.${process.pid}`
  writeFileSync(unfinished, randomBytes(32).toString('base64url'), { mode: 0o600 })
  try {
    linkSync(unfinished, file)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    rmSync(unfinished)
  }
  return readFileSync(file, 'utf8')
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    return undefined
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
