/** The process: arguments and exit code. */
import { run } from './cli/run'
import { UsageError } from './cli/usage'

try {
  await run(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(error instanceof UsageError ? 2 : 1)
}
