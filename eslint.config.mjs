/** Checks every statement in `src` against the migrated schema; all other rules are Biome's. */
import safeql from '@ts-safeql/eslint-plugin/config'
import tseslint from 'typescript-eslint'

const { DATABASE_URL } = process.env
if (!DATABASE_URL) throw new Error('DATABASE_URL is not set: run `bun run lint:sql`')

/** What a row holds for each type of column. */
const types = {
  // the driver's parsers in src/database/pool.ts
  int8: 'number',
  timestamptz: 'string',
  bytea: 'Buffer<ArrayBufferLike>',
  json: 'unknown',
  jsonb: 'unknown',
  date: 'string',
  time: 'string',
  timestamp: 'never',
}

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
      targets: [{ tag: 'sql', transform: '{type}[]' }],
      overrides: { types },
    }),
  },
]
