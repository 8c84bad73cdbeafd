import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import type postgres from 'postgres'
import { dbmate, migrate } from '../../src/database/migrations'
import { testDatabase } from '../support/database'

const { url, sql } = await testDatabase()

/** What the schema is made of, as the catalogue has it. */
async function schema() {
  return sql`
    select 'column' as kind, table_name || '.' || column_name || ' ' || data_type as name
    from information_schema.columns where table_schema = 'public' and table_name <> 'schema_migrations'
    union all select 'constraint', conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace
    union all select 'index', indexdef from pg_indexes where schemaname = 'public' and tablename <> 'schema_migrations'
    union all select 'function', proname from pg_proc where pronamespace = 'public'::regnamespace
    order by kind, name`
}

describe('the migrations', () => {
  test('go down to nothing and up to the same schema', async () => {
    const before = await schema()
    const files = await readdir('db/migrations')
    for (const _ of files) await migrate(url, 'down', true)
    expect((await schema()).filter(({ name }) => !name.startsWith('schema_migrations'))).toEqual([])
    await migrate(url, 'up', true)
    expect(await schema()).toEqual(before)
  })

  test('wait for one another when several processes run them at once', async () => {
    await migrate(url, 'down', true)
    await Promise.all([migrate(url, 'up', true), migrate(url, 'up', true), migrate(url, 'up', true)])
    const applied = await sql`select version from schema_migrations`
    expect(applied).toHaveLength((await readdir('db/migrations')).length)
  })

  test('that fail say so', async () => {
    const nowhere = new URL(url)
    nowhere.password = 'wrong'
    await expect(dbmate(['status'], nowhere.href, true)).rejects.toThrow('dbmate status failed')
  })
})

const MOMENT = '2026-01-15T09:30:00.000Z'

describe('the database keeps its own promises', () => {
  const insert = (values: Record<string, unknown>) => {
    const task = {
      user_id: 'ann',
      title: 'x',
      revision: 1,
      created_at: MOMENT,
      updated_at: MOMENT,
      ...values,
    }
    return sql`insert into tasks ${sql(task)}`.then(
      () => 'stored',
      (error: postgres.PostgresError) => error.constraint_name ?? error.column_name,
    )
  }

  test.each([
    ['a plain task', {}, 'stored'],
    ['a title of 200 characters', { title: '😀'.repeat(200) }, 'stored'],
    ['a title of 201', { title: 'x'.repeat(201) }, 'tasks_title_length'],
    ['an empty title', { title: '' }, 'tasks_title_length'],
    ['no title', { title: null }, 'title'],
    ['a description of 1,001', { description: 'x'.repeat(1001) }, 'tasks_description_length'],
    ['an owner who is not there', { user_id: 'nobody' }, 'tasks_user_id_fkey'],
    ['revision 0', { revision: 0 }, 'tasks_revision_positive'],
    ['neither completed nor not', { completed: null }, 'completed'],
  ])('%s', async (_, values, outcome) => {
    await sql`insert into users (id) values ('ann') on conflict do nothing`
    expect(await insert(values)).toBe(outcome)
  })

  test.each([
    ['', 'users_id_length'],
    ['x'.repeat(256), 'users_id_length'],
  ])('a user cannot be called %p', async (id, constraint) => {
    const error = await sql`insert into users (id) values (${id})`.catch((caught) => caught)
    expect(error.constraint_name).toBe(constraint)
  })

  test('a user takes all tasks along', async () => {
    await sql`insert into users (id) values ('gone')`
    await insert({ user_id: 'gone' })
    await sql`delete from users where id = 'gone'`
    expect(await sql`select 1 from tasks where user_id = 'gone'`).toHaveLength(0)
  })
})
