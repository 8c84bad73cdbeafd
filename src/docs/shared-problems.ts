/** Problems that several operations have stand in the OpenAPI document once. */

interface Operation {
  /** By status. */
  responses: Record<string, unknown>
}

interface Problems {
  content: { 'application/problem+json': { schema: { $ref: string }; examples: Record<string, unknown> } }
}

/** Puts references into the operations. @returns what they refer to: `components.responses` */
export function shareProblems(operations: readonly Operation[]): Record<string, unknown> {
  const shared: Record<string, unknown> = {}
  for (const { responses } of operations) {
    for (const [status, response] of Object.entries(responses)) {
      if (!isProblems(response)) continue
      const name = nameOf(response)
      shared[name] = response
      responses[status] = { $ref: `#/components/responses/${name}` }
    }
  }
  return shared
}

function isProblems(response: unknown): response is Problems {
  const { content = {} } = response as { content?: object }
  return 'application/problem+json' in content
}

/** Such as `TokenExpiredOrTokenInvalid`: by its codes, unless it has a schema of its own. */
function nameOf({ content }: Problems): string {
  const { schema, examples } = content['application/problem+json']
  const own = schema.$ref.replace('#/components/schemas/', '')
  if (own !== 'Problem') return own
  const names = Object.keys(examples).map((code) =>
    code.toLowerCase().replaceAll(/(?:^|_)(\w)/g, (_, first: string) => first.toUpperCase()),
  )
  return names.join('Or')
}
