/** The table of commands, from which come the help, what is refused, and what runs. */
import { IS_COMPILED, toType } from './program'

export interface Command {
  /** Its words, as they are typed. */
  name: string
  /** What it takes, in this order. */
  takes: readonly string[]
  /** The script in package.json that calls it. */
  script?: string
  /** One line for the list of commands. */
  summary: string
  /** The rest of its help. */
  details: string
  /** Is called by Taskwell itself. */
  isHidden?: true
  /** Loads what it needs only now, so that help and refusals are quick. */
  run(...args: string[]): Promise<void>
}

const settings = async () => (await import('./environment')).readSettings()
const databaseSettings = async () => (await import('./environment')).readDatabaseSettings()

function refuseWithoutMigrations(): void {
  if (!IS_COMPILED) return
  throw new Error(
    'The migrations are not in this program. Use the image taskwell-migrate, or `bun run db:up` in the repository.',
  )
}

async function runMigrations(action: 'up' | 'down' | 'status'): Promise<void> {
  refuseWithoutMigrations()
  return (await import('./database')).runMigrations(action, await databaseSettings())
}

const WHICH_DATABASE = `The database is that of DATABASE_URL, or else the embedded one in DATA_DIR, which is started for this if it does
not run. The program in the image has no migrations inside: the image taskwell-migrate runs them.`

export const COMMANDS: readonly Command[] = [
  {
    name: 'serve',
    takes: [],
    script: 'start',
    summary: 'serve the API until Ctrl-C or SIGTERM; also without a command',
    details: `Without DATABASE_URL it starts an embedded PostgreSQL, keeps its data in DATA_DIR, and migrates it. A database that
it was given is not migrated: \`db up\` does that.

Settings are environment variables, and in development also lines of the file .env. These matter most:
  PORT, HOST              where it listens: port 8000 of every address
  DATABASE_URL            the database; always set it in production
  DATA_DIR                the folder of the embedded PostgreSQL: .data
  BETTER_AUTH_SECRET,
  BETTER_AUTH_URL         which tokens it trusts; production needs one of them
  CORS_ORIGINS            the pages that may call from a browser
  TRUSTED_PROXY_HOPS      how many proxies in front are yours
docs/settings.md in the repository describes all of them.`,
    run: async () => (await import('./serve')).serveUntilStopped(),
  },
  {
    name: 'token',
    takes: ['user'],
    script: 'token',
    summary: 'print an access token of a user, to try things out in development',
    details: `The user is any id, such as alice, and needs no account. Standard output has only the token, so that a shell can
keep it: TOKEN=$(${toType('token', 'token')} alice)
The token is valid for JWT_EXPIRE_MINUTES, 30 by default. Production is refused.`,
    run: async (user: string) => (await import('./token')).printToken(user, await settings()),
  },
  {
    name: 'db up',
    takes: [],
    script: 'db:up',
    summary: 'apply the migrations that are pending',
    details: WHICH_DATABASE,
    run: () => runMigrations('up'),
  },
  {
    name: 'db down',
    takes: [],
    script: 'db:down',
    summary: 'undo the newest migration, with its data',
    details: WHICH_DATABASE,
    run: () => runMigrations('down'),
  },
  {
    name: 'db status',
    takes: [],
    script: 'db:status',
    summary: 'list the migrations, and which are applied',
    details: WHICH_DATABASE,
    run: () => runMigrations('status'),
  },
  {
    name: 'db new',
    takes: ['name'],
    script: 'db:new',
    summary: 'make the file of a new migration in db/migrations',
    details: 'It needs no database. CONTRIBUTING.md says what goes into the file.',
    async run(name: string) {
      refuseWithoutMigrations()
      await (await import('../database/migrations')).dbmate(['new', name])
    },
  },
  {
    name: 'db url',
    takes: [],
    script: 'db:url',
    summary: 'print the address of the database, with its password, for psql',
    details: 'It is DATABASE_URL, or else the address of the embedded PostgreSQL, which has to run.',
    run: async () => (await import('./database')).printUrl(await databaseSettings()),
  },
  {
    name: 'health',
    takes: [],
    summary: 'ask the server on this machine whether it lives',
    details: `It asks /health at HOST and PORT, waits two seconds at most, and prints nothing if all is well: a health check for
containers.`,
    run: async () => (await import('./health')).checkHealth(await settings()),
  },
  {
    name: 'worker',
    takes: ['number', 'workers'],
    summary: 'one of several processes that serve',
    details: '`serve` starts it.',
    isHidden: true,
    run: async (...args) => (await import('./worker')).runWorker(args),
  },
]

/** Those that are for people. */
export const SHOWN = COMMANDS.filter(({ isHidden }) => !isHidden)
