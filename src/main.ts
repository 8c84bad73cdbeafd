/** The process: arguments, environment, signals, exit code. */
import type { Logger } from 'pino'
import { readEnvironment, readSettings } from './cli/environment'
import { loadDatabaseSettings, type Settings } from './settings'
import { npxEnded } from './system/processes'
import { nextSignal } from './system/signals'
import { createLog } from './telemetry/log'

// `worker` is for the supervisor alone
const USAGE = 'Usage: serve | token <user> | db new <name> | db up | db down | db status | db url | health'

async function runServer(): Promise<void> {
  const started = performance.now()
  // before anything is started, so that a signal at any moment ends all of it
  const stopRequested = Promise.race([nextSignal(), npxEnded().then(() => 'npx has ended')])
  const loaded = readSettings()
  const log = createLog(loaded)
  const server = await start(loaded, log, stopRequested)
  log.info(`ready in ${Math.round(performance.now() - started)} ms`)
  if (!loaded.production) print(welcome(server.url, loaded))

  log.info(`${await stopRequested}: stopping`)
  await server.stop()
  log.info('stopped')
  process.exit(0)
}

/** Each command loads what it needs: a supervisor serves nothing itself. */
async function start(loaded: Settings, log: Logger, stopRequested: Promise<unknown>) {
  if (loaded.workers === 1) return (await import('./server')).serve(loaded, log)
  return (await import('./cli/supervisor')).serveWithWorkers(loaded, log, stopRequested)
}

function welcome(url: string, { accounts, secret, publicUrl }: Settings): string {
  const token =
    secret === undefined
      ? 'sign in to your Better Auth app and GET /api/auth/token there'
      : 'bun run token <user>'
  const reached = publicUrl ?? url
  const tokens = accounts ? `POST ${reached}/api/v1/auth/register, or ${token}` : token
  return `
  Taskwell listens on ${url}

  Docs    ${reached}/docs
  Token   ${tokens}
  Stop    Ctrl-C
`
}

async function printToken(user: string | undefined): Promise<void> {
  if (!user) throw new Error('Usage: token <user>')
  const loaded = readSettings()
  if (loaded.production) throw new Error('Tokens for trying things out are made in development only')
  const { signAccessToken } = await import('./auth/token')
  print(await signAccessToken(user, loaded))
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function run([command = 'serve', ...args]: readonly string[]): Promise<void> {
  if (command === 'serve') return runServer()
  if (command === 'token') return printToken(args[0])
  if (command === 'worker') return (await import('./cli/worker')).runWorker(args, readSettings)
  const { db, health } = await import('./cli/commands')
  if (command === 'db') return db(args, () => loadDatabaseSettings(readEnvironment()))
  if (command === 'health') return health(readSettings())
  throw new Error(USAGE)
}

try {
  await run(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
