import { expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { t } from 'elysia'
import { Count, decodeCursor, encodeCursor } from '../../src/http/cursor'

const PLACE = ['ann', 'changes']
const Pair = t.Tuple([Count, Count])

/** As anybody can who reads the source. */
function forge(text: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([...PLACE, text]))
    .digest('base64url')
  return digest.slice(0, 16) + Buffer.from(text).toString('base64url')
}

test('what was sealed comes back', () => {
  expect(decodeCursor(Pair, PLACE, encodeCursor(PLACE, [7, 0]))).toEqual([7, 0])
  expect(decodeCursor(Pair, PLACE, forge('[7,0]'))).toEqual([7, 0])
})

test.each([
  ['of another place', encodeCursor(['bob', 'changes'], [7, 0])],
  ['cut', encodeCursor(PLACE, [7, 0]).slice(0, -1)],
  ['changed', encodeCursor(PLACE, [7, 0]).replace(/.$/, 'x')],
  ['nothing', ''],
  ['no encodeCursor', 'W1s3LDBd'],
])('what is %s does not', (_, sealed) => {
  expect(decodeCursor(Pair, PLACE, sealed)).toBeUndefined()
})

test.each([
  '',
  'x',
  '[',
  '[7]',
  '[7,0,0]',
  '["7",0]',
  '[-1,0]',
  '[7.5,0]',
  '[1e400,0]',
  '[9007199254740993,0]',
  'null',
])('what was forged with %p in it does not either', (text) => {
  expect(decodeCursor(Pair, PLACE, forge(text))).toBeUndefined()
})
