import assert from 'node:assert/strict'

/** Compares. Does not compile if the type of `actual` is `any` or `unknown`: the tool has not understood it. */
export function equal<T>(actual: T, expected: NoInfer<T> & (unknown extends T ? never : unknown)): void {
  assert.deepEqual(actual, expected)
}

/** What a user who is not known yet registers with. */
export function newcomer() {
  return { email: `${crypto.randomUUID()}@example.com`, password: 'correct horse battery' }
}
