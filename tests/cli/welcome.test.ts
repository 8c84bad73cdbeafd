import { describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { welcome } from '../../src/cli/welcome'
import { startEmbedded } from '../../src/embedded/server'
import { loadSettings } from '../../src/settings'

const SECRET = 'a-shared-secret-of-at-least-32-bytes'

/** Its lines, by their first word. */
function linesWith(env: Record<string, string>): Map<string, string> {
  const text = welcome(
    'http://localhost:8000',
    loadSettings(env, () => SECRET),
  )
  return new Map([...text.matchAll(/^ {2}(\S+) +(.*)$/gm)].map(([, word = '', rest = '']) => [word, rest]))
}

describe('the welcome', () => {
  test('says where the service, its pages, its client and its data are', () => {
    expect(Object.fromEntries(linesWith({}))).toEqual({
      Taskwell: 'listens on http://localhost:8000',
      Docs: 'http://localhost:8000/docs',
      Token: expect.stringMatching(
        /run token <user>, or POST http:\/\/localhost:8000\/api\/v1\/auth\/register$/,
      ),
      Client: 'npm install http://localhost:8000/client.tgz',
      Data: `an embedded PostgreSQL in ${resolve('.data')}`,
      Stop: 'Ctrl-C',
    })
  })

  test('has the address that clients use', () => {
    const lines = linesWith({ PUBLIC_URL: 'https://example.com/tasks' })
    expect(lines.get('Taskwell')).toBe('listens on http://localhost:8000')
    expect(lines.get('Docs')).toBe('https://example.com/tasks/docs')
    expect(lines.get('Client')).toBe('npm install https://example.com/tasks/client.tgz')
  })

  test.each([
    ['postgres://ann:hunter2@db.example/tasks', 'the database tasks on db.example:5432'],
    ['host=one,two port=1,2 user=ann password=hunter2', 'the database ann on one:1, two:2'],
  ])('names the database of %s, without its password', (DATABASE_URL, data) => {
    expect(linesWith({ DATABASE_URL }).get('Data')).toBe(data)
  })

  test('knows the embedded database by its address, which `bun run dev` gives', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'taskwell-welcome-'))
    const { url, stop } = await startEmbedded(folder)
    const lines = linesWith({ DATABASE_URL: url, DATA_DIR: folder })
    await stop()
    await rm(folder, { recursive: true })
    expect(lines.get('Data')).toBe(`an embedded PostgreSQL in ${folder}`)
  })

  test('sends to Better Auth for a token if that alone is trusted', () => {
    expect(linesWith({ BETTER_AUTH_URL: 'https://app.example' }).get('Token')).toBe(
      'sign in to your Better Auth app and GET /api/auth/token there',
    )
  })

  test('leaves out registering without accounts', () => {
    expect(linesWith({ ACCOUNTS: 'off' }).get('Token')).toEndWith('run token <user>')
  })
})
