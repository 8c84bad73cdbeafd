/** Runs tools for a model: arguments are checked, and whatever fails becomes words. */
import { Value } from '@sinclair/typebox/value'
import type { Logger } from 'pino'
import type { Caller } from '../auth/caller'
import { mayUse } from '../auth/scopes'
import { toProblem } from '../http/errors'
import { invalid } from '../http/problems'
import { fieldErrors } from '../http/validation'
import type { TaskDeps } from '../tasks/routes'
import type { Metrics } from '../telemetry/metrics'
import { explain, TOOLS, type Tool, type ToolContext } from './tools'

/** What a tool has given, or why it has given nothing. */
export type Outcome = { result: object } | { error: string }

export interface ToolRunner {
  /** @returns the tools that the caller may use */
  toolsFor(caller: Caller): readonly Tool[]
  /** Never throws. */
  run(context: ToolContext, name: string, given: unknown): Promise<Outcome>
}

interface Deps extends TaskDeps {
  log: Logger
  metrics: Metrics | undefined
}

/** Some models give null for each argument that they mean to leave out. If null has a meaning of its own, it stays. */
function withoutNulls({ input }: Tool, given: unknown): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given
  const meaningless = ([name, value]: [string, unknown]) => {
    const schema = Object.hasOwn(input.properties, name) ? input.properties[name] : undefined
    return value === null && schema !== undefined && !Value.Check(schema, null)
  }
  return Object.fromEntries(Object.entries(given).filter((entry) => !meaningless(entry)))
}

export function createToolRunner({ cache, onChange, log, metrics }: Deps): ToolRunner {
  async function attempt(tool: Tool, context: ToolContext, given: unknown): Promise<Outcome> {
    try {
      const input = withoutNulls(tool, given)
      if (!Value.Check(tool.input, input)) {
        throw invalid(...fieldErrors('body', Value.Errors(tool.input, input), 'argument'))
      }
      return { result: await tool.run(context, input) }
    } catch (error) {
      const problem = toProblem(error)
      if (problem.status === 500)
        log.error({ err: problem.cause, tool: tool.name, request_id: context.requestId }, 'tool failed')
      return { error: explain(problem) }
    } finally {
      if (!tool.annotations.readOnlyHint) {
        cache.forget(context.caller.id)
        onChange(context.caller.id)
      }
    }
  }
  return {
    toolsFor: (caller) => TOOLS.filter(({ needs }) => mayUse(caller, needs)),
    async run(context, name, given) {
      const tool = TOOLS.find((each) => each.name === name)
      if (!tool) return { error: 'There is no such tool.' }
      if (!mayUse(context.caller, tool.needs)) return { error: 'The token may only read tasks.' }
      const outcome = await attempt(tool, context, given ?? {})
      metrics?.tool({ tool: name, failed: 'error' in outcome })
      return outcome
    },
  }
}
