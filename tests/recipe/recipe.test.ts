import { expect, test } from 'bun:test'
import { applyEdit, stepsOf } from './recipe'

const DOCUMENT = `# Title

\`\`\`ts src/before.ts
\`\`\`

## Cook

\`\`\`ts src/new.ts
const a = 1
\`\`\`

\`\`\`diff src/old.ts
 first
+second
@@
-fourth
 fifth
\`\`\`

\`\`\`sh
bun run it
\`\`\`

## After
`

test('the steps of a section are its blocks, in their order', () => {
  expect(stepsOf(DOCUMENT, 'Cook')).toEqual([
    { kind: 'file', path: 'src/new.ts', text: 'const a = 1\n' },
    {
      kind: 'edit',
      path: 'src/old.ts',
      hunks: [
        { before: 'first\n', after: 'first\nsecond\n' },
        { before: 'fourth\nfifth\n', after: 'fifth\n' },
      ],
    },
    { kind: 'commands', text: 'bun run it\n' },
  ])
})

test.each([
  ['no section', '# Title\n'],
  ['no block', '## Cook\n\nSome words.\n'],
  ['a block that names no file', '## Cook\n\n```ts\nconst a = 1\n```\n'],
])('%s is no recipe', (_, document) => {
  expect(() => stepsOf(document, 'Cook')).toThrow()
})

const HUNKS = [{ before: 'b\n', after: 'b\nnew\n' }]

test('lines are put where their place is', () => {
  expect(applyEdit('a\nb\nc\n', HUNKS)).toBe('a\nb\nnew\nc\n')
  expect(applyEdit('b\nab\n', HUNKS)).toBe('b\nnew\nab\n')
})

test.each([
  ['is gone', 'a\nc\n'],
  ['is there twice', 'b\nc\nb\n'],
  ['is part of a line', 'ab\n'],
])('a place that %s is an error', (_, text) => {
  expect(() => applyEdit(text, HUNKS)).toThrow('exactly once')
})
