/** A check of the check: does `bun run lint:sql` find what it is there for? */
import { expect, test } from 'bun:test'
import { testDatabase } from './support/database'

const FAULTY = 'tests/support/faulty-statements.ts'

interface Finding {
  line: number
  message: string
}

const { url } = await testDatabase()
const findings = await lint(FAULTY)
const lines = (await Bun.file(FAULTY).text()).split('\n')
const byStatement = Map.groupBy(findings, ({ line }) => statementAt(line))

async function lint(file: string): Promise<Finding[]> {
  const eslint = Bun.spawn(['node_modules/.bin/eslint', '--format=json', file], {
    env: { ...process.env, DATABASE_URL: url },
    stderr: 'inherit',
  })
  const [{ messages }] = await new Response(eslint.stdout).json()
  return messages
}

/** @returns the name of the exported statement that a line belongs to */
function statementAt(line: number): string | undefined {
  const start = lines.slice(0, line).findLast((text) => text.startsWith('export const '))
  return start?.split(' ')[2]
}

function messagesOf(statement: string): string {
  return (byStatement.get(statement) ?? []).map(({ message }) => message).join('\n')
}

test.each([
  ['a column that is not there', 'renamedColumn', 'column "label" does not exist'],
  ['a column that is not there, inside JSON', 'renamedColumnInJson', 'column "label" does not exist'],
  ['a nullable column typed as never null', 'nullableAsNotNull', 'description: string | null'],
  [
    'a nullable column typed as never null, inside JSON',
    'nullableAsNotNullInJson',
    'description: string | null',
  ],
  ['a parameter of another type', 'textForNumber', 'operator does not exist: bigint = text'],
  ['a time that is taken for a Date', 'timeAsDate', 'created_at: string'],
  ['a statement without a row type', 'untyped', 'missing type annotation'],
  ['a tag of another name', 'otherTag', 'Name the tag sql'],
  ['a tag that is a member', 'memberTag', 'Name the tag sql'],
  ['text that is not a template', 'unsafeText', 'not a template'],
  ['a file of SQL', 'fileOfSql', 'not a template'],
  ['a transaction', 'transaction', 'Write one statement'],
])('%s is reported', (_, statement, message) => {
  expect(messagesOf(statement)).toContain(message)
})

test('a statement without a fault is not reported', () => {
  expect(messagesOf('faultless')).toBe('')
})
