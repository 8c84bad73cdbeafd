/**
 * The rooms of `src`, and which of them may import which: part of `bun run lint`. It needs no database. Biome's
 * `noImportCycles` finds files that import each other.
 */
import tseslint from 'typescript-eslint'

/** A room may import those above it. Rooms on one line do not import each other. */
const ROOMS = [
  ['system'],
  ['database'],
  ['settings'],
  ['embedded', 'telemetry'],
  ['http'],
  ['limits'],
  ['auth'],
  ['tasks'],
  ['reminders', 'tokens', 'assistants'],
  ['sync', 'lists', 'tags', 'accounts', 'mcp', 'chat', 'monitoring', 'docs'],
  ['app', 'jobs'],
  ['server'],
  ['cli'],
  ['main'],
]

const UPWARD =
  'A room imports only rooms that stand above it in ROOMS (eslint.rooms.mjs): move what both need into the higher one.'
const NO_ROOM = 'This folder or file has no place among the rooms: add it to ROOMS in eslint.rooms.mjs.'
const CLIENT = 'The client is sent to browsers: it imports nothing from outside its folder.'
const QUERIES =
  'Queries are SQL: values come from src/database and other queries, anything else is a type (import type) or an argument.'

/** @param patterns what may not be imported: a regular expression and a message, and whether types may */
function forbid(files, ...patterns) {
  return {
    files,
    languageOptions: { parser: tseslint.parser },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', { patterns }],
      // the rule above does not look at import('…')
      'no-restricted-syntax': ['error', ...patterns.map(forbidLate)],
    },
  }
}

function forbidLate({ regex, message, allowTypeImports }) {
  const node = allowTypeImports ? 'ImportExpression' : ':matches(ImportExpression, TSImportType)'
  // a selector ends at a slash
  return { selector: `${node}[source.value=/${regex.replaceAll('/', '\\u002f')}/]`, message }
}

/** What an import from the folder `start` begins with if it is of none of these rooms. */
const outside = (start, rooms) => `${start}(?!(?:${rooms.join('|')})(?:/|$))`

const SQL = '\\.\\./database/|(?:\\./|\\.\\./\\w+/)(?:\\w+-)?queries$'

const rooms = ROOMS.flatMap((row, place) => {
  const above = ROOMS.slice(0, place).flat()
  return row.flatMap((room) => {
    const upward = outside('\\.\\./', [...above, room, '\\.\\./package\\.json'])
    const order = { regex: `^${upward}`, message: UPWARD }
    // a type that this pattern lets through is not compared with the other one, so upward imports are left out
    const queries = { regex: `^(?!${upward}|${SQL})`, message: QUERIES, allowTypeImports: true }
    return [
      forbid([`src/${room}.ts`], { regex: `^${outside('\\./', above)}`, message: UPWARD }),
      forbid([`src/${room}/**/*.ts`], order),
      forbid([`src/${room}/**/*queries.ts`], order, queries),
    ]
  })
})

export default [
  forbid(['src/**/*.ts'], { regex: '^\\.', message: NO_ROOM }),
  ...rooms,
  forbid(['src/client/**/*.ts'], { regex: '^\\.\\./', message: CLIENT }),
]
