import { describe, expect, test } from 'bun:test'
import { testDatabase } from '../support/database'

const { url, sql } = await testDatabase()

async function seed(env: Record<string, string> = {}) {
  const script = Bun.spawn([process.execPath, '--no-env-file', 'scripts/seed.ts'], {
    env: { PATH: process.env['PATH'], DATABASE_URL: url, BETTER_AUTH_SECRET: 'x'.repeat(32), ...env },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [output, fault] = await Promise.all(
    [script.stdout, script.stderr].map((each) => new Response(each).text()),
  )
  return { output, fault, exitCode: await script.exited }
}

const counts = async () => {
  const [row] = await sql`
    select count(*) filter (where deleted_at is null and not completed)::integer as pending,
      count(*) filter (where deleted_at is null and completed)::integer as completed,
      count(*) filter (where deleted_at is not null)::integer as deleted
    from tasks where user_id = 'demo'`
  return row
}

describe('bun run db:seed', () => {
  test('is refused in production', async () => {
    const { fault, exitCode } = await seed({ NODE_ENV: 'production' })
    expect({ fault, exitCode }).toEqual({ fault: expect.stringContaining('unset NODE_ENV'), exitCode: 1 })
    expect(await counts()).toMatchObject({ pending: 0, completed: 0, deleted: 0 })
  })

  test('makes pending, completed and deleted tasks, and a second time nothing', async () => {
    expect(await seed()).toMatchObject({ output: expect.stringContaining('bun run token demo'), exitCode: 0 })
    const made = await counts()
    expect(made).toMatchObject({ pending: 12, completed: 5, deleted: 2 })
    expect(await seed()).toMatchObject({ output: expect.stringContaining('has tasks already'), exitCode: 0 })
    expect(await counts()).toEqual(made)
  })
})
