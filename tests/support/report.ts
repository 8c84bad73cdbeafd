/** Runs a check of a program that is no test, says how it went, and has the process fail with it. */
export async function report(name: string, check: () => Promise<unknown>): Promise<void> {
  const begin = performance.now()
  try {
    await check()
    process.stdout.write(`${name}: passed in ${Math.round(performance.now() - begin)} ms\n`)
  } catch (error) {
    process.exitCode = 1
    process.stdout.write(`${name}: FAILED\n${error instanceof Error ? error.message : error}\n`)
  }
}
