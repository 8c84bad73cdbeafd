/** Checks every statement in `src` against the migrated schema; all other rules are Biome's. */
import safeql from '@ts-safeql/eslint-plugin/config'
import tseslint from 'typescript-eslint'

const { DATABASE_URL } = process.env
if (!DATABASE_URL) throw new Error('DATABASE_URL is not set: run `bun run lint:sql`')

/** What a row holds for each type of column. */
const types = {
  // the driver's parser in src/database/connection.ts
  int8: 'number',
  bytea: 'Buffer<ArrayBufferLike>',
  json: 'unknown',
  jsonb: 'unknown',
  // times leave the database as text: the driver's Date loses microseconds, and JSON has no Date
  date: 'never',
  timestamp: 'never',
  timestamptz: 'never',
}

/**
 * SafeQL takes what a function gives for nullable, and for unknown if the function is ours. `rfc3339` gives
 * text, and null only for null, which the columns of the first three names never are (tests/sql-check.test.ts).
 */
const unknownOrNull = /(?:null|string|unknown) \| (?:null|string|unknown)/.source
const renderedTimes = [
  [`\\b(created_at|updated_at|last_used_at): ${unknownOrNull}`, '$1: string'],
  [`\\b(known_since): ${unknownOrNull}`, '$1: null | string'],
]

const rules = {
  'no-restricted-syntax': [
    'error',
    {
      selector: "TaggedTemplateExpression[tag.name!='sql']",
      message: 'Name the tag sql: only then is the statement checked against the schema.',
    },
    {
      selector:
        "MemberExpression[property.name='unsafe'], MemberExpression[object.name='sql'][property.name='file']",
      message: 'Text that is not a template is not checked against the schema.',
    },
    {
      selector: "MemberExpression[property.name='begin']",
      message: 'Write one statement: a connection lost in a transaction harms the process and other callers.',
    },
  ],
}

export default [
  {
    files: ['**/*.ts'],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
    rules,
  },
  {
    files: ['**/*.ts'],
    ...safeql.configs.connections({
      databaseUrl: DATABASE_URL,
      targets: [{ tag: 'sql', transform: ['{type}[]', ...renderedTimes] }],
      overrides: { types },
    }),
  },
]
