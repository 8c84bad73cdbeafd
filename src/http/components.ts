/** The schemas that have a name in the OpenAPI document. */
import type { TSchema } from '@sinclair/typebox'

/** Name to schema, in the order of definition. */
export const components = new Map<string, TSchema>()

/** Names a schema: the document then holds it once and refers to it. */
export function component<S extends TSchema>(name: string, schema: S): S {
  const named = { ...schema, component: name }
  components.set(name, named)
  return named
}
