/** After `bun run db:up`: a new migration also changes `db/schema.sql`. */
import { header, SCHEMA_FILE } from './schema'

const text = await Bun.file(SCHEMA_FILE)
  .text()
  .catch(() => '')
if (!text.startsWith(header())) {
  process.stdout.write(
    'db/schema.sql does not have the newest migration: run `bun run db:schema` and commit it.\n',
  )
}
