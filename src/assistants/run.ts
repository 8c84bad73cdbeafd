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

/**
 * Some models give null for each argument that they mean to leave out. If null has a meaning of its own, it stays, and so it
 * does where it may be meant to clear what cannot be cleared: the tool would say that it has done so.
 */
function withoutNulls({ input, nullClears }: Tool, given: unknown): unknown {
  if (nullClears || typeof given !== 'object' || given === null || Array.isArray(given)) return given
  const meaningless = ([name, value]: [string, unknown]) => {
    const schema = Object.hasOwn(input.properties, name) ? input.properties[name] : undefined
    return value === null && schema !== undefined && !Value.Check(schema, null)
  }
  return Object.fromEntries(Object.entries(given).filter((entry) => !meaningless(entry)))
}

export function createToolRunner({ cache, onChange, log, metrics }: Deps): ToolRunner {
  /** @throws Problem */
  async function use(tool: Tool, context: ToolContext, given: unknown): Promise<object> {
    const input = withoutNulls(tool, given)
    if (!Value.Check(tool.input, input)) {
      throw invalid(...fieldErrors('body', Value.Errors(tool.input, input), 'argument'))
    }
    try {
      return await tool.run(context, input)
    } finally {
      if (!tool.annotations.readOnlyHint) {
        cache.forget(context.caller.id)
        onChange(context.caller.id)
      }
    }
  }
  function wordsFor(error: unknown, tool: Tool, { requestId }: ToolContext): string {
    const problem = toProblem(error)
    const told = { err: problem.cause, tool: tool.name, request_id: requestId }
    if (problem.status === 500) log.error(told, 'tool failed')
    if (problem.status === 503) log.warn(told, 'tool failed')
    return explain(problem, tool)
  }
  const toolsFor = (caller: Caller) => TOOLS.filter(({ needs }) => mayUse(caller, needs))

  return {
    toolsFor,
    async run(context, name, given) {
      const tool = toolsFor(context.caller).find((each) => each.name === name)
      if (!tool) return { error: 'There is no such tool.' }
      const outcome = await use(tool, context, given ?? {}).then(
        (result) => ({ result }),
        (error: unknown) => ({ error: wordsFor(error, tool, context) }),
      )
      metrics?.tool({ tool: name, failed: 'error' in outcome })
      return outcome
    },
  }
}
