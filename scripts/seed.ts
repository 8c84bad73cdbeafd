/** `bun run db:seed`: makes tasks for the user `demo`. If that user has tasks already, it makes none. */
import { findDatabase } from '../src/cli/database'
import { readSettings } from '../src/cli/environment'
import { openDatabase } from '../src/database/database'
import { migrate } from '../src/database/migrations'
import type { Sql } from '../src/database/sql'
import { NO_FILTER } from '../src/tasks/filters'
import { countTasks } from '../src/tasks/list-queries'
import type { TaskCreate } from '../src/tasks/model'
import { createTask, writeTask } from '../src/tasks/queries'

const DEMO = {
  id: 'demo',
  issuedAt: Date.now() / 1000,
  expiresAt: Number.POSITIVE_INFINITY,
  sessionId: null,
  tokenId: null,
  scopes: null,
}

const PENDING: TaskCreate[] = [
  { title: 'Book the train to Lisbon', description: 'Window seat, quiet coach if there is one' },
  { title: 'Renew the passport', description: 'Two photos, 35 × 45 mm' },
  { title: 'Ask Priya about the invoice of October' },
  { title: 'Water the basil' },
  { title: 'Call the dentist', description: 'Mornings only' },
  { title: 'Return the library books', description: 'Three of them, due on Friday' },
  { title: 'Draft the talk on row locks', description: 'Twenty minutes, no slides with more than ten lines' },
  { title: 'Back up the photos' },
  { title: 'Find a present for Jonas', description: 'He already has the tent' },
  { title: 'Fix the squeaking door' },
  { title: 'Plan the hike', description: 'Check the weather on Thursday' },
  { title: '買い物リストを作る' },
]
const COMPLETED: TaskCreate[] = [
  { title: 'Pay the rent' },
  { title: 'Buy milk', description: 'Two bottles' },
  { title: 'Change the bicycle tyre' },
  { title: 'Send the signed contract', description: 'To the new address' },
  { title: 'Clean the coffee machine' },
]
const DELETED: TaskCreate[] = [
  { title: 'Cancel the gym' },
  { title: 'Learn the ukulele', description: 'Maybe another year' },
]

async function seed(sql: Sql): Promise<number> {
  if ((await countTasks(sql, DEMO, NO_FILTER)) > 0) return 0
  for (const task of PENDING) await createTask(sql, DEMO, task)
  for (const task of COMPLETED) await createTask(sql, DEMO, { ...task, completed: true })
  for (const task of DELETED) {
    const created = await createTask(sql, DEMO, task)
    const toTrash = { from: ['lists'], to: 'trash', change: {}, ifMatch: null } as const
    if (created) await writeTask(sql, DEMO, created.id, toTrash)
  }
  return PENDING.length + COMPLETED.length
}

async function run(): Promise<string> {
  const settings = readSettings()
  if (settings.production) throw new Error('`bun run db:seed` is for development: unset NODE_ENV')
  const provided = await findDatabase(settings)
  try {
    if (settings.databaseUrl === undefined) await migrate(provided.url, 'up', true)
    const database = openDatabase({ url: provided.url, poolSize: 1, requestTimeout: 10_000 })
    const count = await seed(database.sql).finally(() => database.end())
    return count > 0 ? `Made ${count} tasks, and some in the trash.` : 'The user demo has tasks already.'
  } finally {
    await provided.stop()
  }
}

try {
  process.stdout.write(`${await run()}\nSee them with the token that \`bun run token demo\` prints.\n`)
  process.exit(0)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
}
