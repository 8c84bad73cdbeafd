/**
 * `bun run dev`: the server, started again when one of its sources changes, beside a database that runs on. The embedded
 * database is migrated at the start; a configured one is not, as with `bun run start`. Ctrl-C ends all of it.
 */
import { watch } from 'node:fs'
import { join } from 'node:path'
import { findDatabase } from '../src/cli/database'
import { readSettings } from '../src/cli/environment'
import { migrate } from '../src/database/migrations'
import { npxEnded } from '../src/system/processes'
import { nextSignal } from '../src/system/signals'

const SOURCES = join(import.meta.dir, '../src')
const MAIN = join(SOURCES, 'main.ts')

const say = (text: string) => process.stdout.write(`${text}\n`)

// before anything is started, so that a signal at any moment ends all of it
const stopRequested = Promise.race([nextSignal(), npxEnded()])
try {
  await develop()
  process.exit(0)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
}

async function develop(): Promise<void> {
  const settings = readSettings()
  if (settings.production) throw new Error('`bun run dev` is for development: unset NODE_ENV')
  const database = await findDatabase(settings, () => say('PostgreSQL has ended, and is started again'))
  try {
    if (settings.databaseUrl === undefined) await migrate(database.url, 'up', true)
    await serveUntilStopped(database.url)
  } finally {
    await database.stop()
  }
}

/** `bun --watch` itself waits for a change if a module throws, but ends if the program exits. */
async function serveUntilStopped(url: string): Promise<void> {
  const stopped = stopRequested.then(() => 'stopped' as const)
  for (;;) {
    const server = startServer(url)
    const ended = await Promise.race([server.exited, stopped])
    if (ended === 'stopped') return stop(server)
    if (ended === 0) return
    await showSyntaxErrors()
    const changed = nextChange()
    say('The server has ended. It starts again when a file in src changes.')
    if ((await Promise.race([changed, stopped])) === 'stopped') return
  }
}

function startServer(url: string): Bun.Subprocess {
  return Bun.spawn([process.execPath, '--watch', '--no-clear-screen', MAIN, 'serve'], {
    // one process, because `--watch` starts only this one again
    env: { ...process.env, DATABASE_URL: url, WORKERS: '1' },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** Ctrl-C has reached it already; it takes a signal that follows at once for the same one. */
async function stop(server: Bun.Subprocess): Promise<void> {
  server.kill('SIGTERM')
  await server.exited
}

/** The program prints only an error's message, without its place. */
async function showSyntaxErrors(): Promise<void> {
  const { logs } = await Bun.build({ entrypoints: [MAIN], target: 'bun', packages: 'external', throw: false })
  for (const each of logs) say(Bun.inspect(each))
}

function nextChange(): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(SOURCES, { recursive: true }, () => {
      watcher.close()
      resolve()
    })
  })
}
