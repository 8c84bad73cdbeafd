/** The errors of the operating system, the network and the driver, which are told apart by a code. */

/** @returns the error's code, such as `ENOENT` or `23505`; an empty string if it has none */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
