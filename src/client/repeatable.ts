/** Which requests may be sent again, and which take long. Made by `bun run client:routes` from the server's routes: do not edit. */

/** `with-body`: without a body, the second time takes the first one back. `with-key`: with an `Idempotency-Key`. */
export type Repeatable = 'always' | 'with-body' | 'with-key'

export const REPEATABLE: readonly (readonly [method: string, pattern: string, repeatable: Repeatable])[] = [
  ['DELETE', '/api/:user_id/conversations/:id', 'always'],
  ['POST', '/api/:user_id/lists', 'with-key'],
  ['DELETE', '/api/:user_id/lists/:id', 'always'],
  ['PATCH', '/api/:user_id/lists/:id', 'always'],
  ['POST', '/api/:user_id/lists/:id/move', 'always'],
  ['DELETE', '/api/:user_id/tags/:name', 'always'],
  ['PATCH', '/api/:user_id/tags/:name', 'always'],
  ['POST', '/api/:user_id/tasks', 'with-key'],
  ['DELETE', '/api/:user_id/tasks/:id', 'always'],
  ['PATCH', '/api/:user_id/tasks/:id', 'always'],
  ['PUT', '/api/:user_id/tasks/:id', 'always'],
  ['PATCH', '/api/:user_id/tasks/:id/complete', 'with-body'],
  ['POST', '/api/:user_id/tasks/:id/move', 'always'],
  ['POST', '/api/:user_id/tasks/:id/restore', 'always'],
  ['POST', '/api/:user_id/tasks/batch', 'with-key'],
  ['POST', '/api/:user_id/tasks/events/ticket', 'always'],
  ['DELETE', '/api/v1/conversations/:id', 'always'],
  ['POST', '/api/v1/lists', 'with-key'],
  ['DELETE', '/api/v1/lists/:id', 'always'],
  ['PATCH', '/api/v1/lists/:id', 'always'],
  ['POST', '/api/v1/lists/:id/move', 'always'],
  ['DELETE', '/api/v1/tags/:name', 'always'],
  ['PATCH', '/api/v1/tags/:name', 'always'],
  ['POST', '/api/v1/todos', 'with-key'],
  ['DELETE', '/api/v1/todos/:id', 'always'],
  ['PATCH', '/api/v1/todos/:id', 'always'],
  ['PUT', '/api/v1/todos/:id', 'always'],
  ['PATCH', '/api/v1/todos/:id/complete', 'with-body'],
  ['POST', '/api/v1/todos/:id/move', 'always'],
  ['POST', '/api/v1/todos/:id/restore', 'always'],
  ['POST', '/api/v1/todos/batch', 'with-key'],
  ['POST', '/api/v1/todos/events/ticket', 'always'],
  ['DELETE', '/api/v1/tokens/:id', 'always'],
]

/** Whose answers may take minutes. */
export const SLOW: readonly (readonly [method: string, pattern: string])[] = [
  ['POST', '/api/v1/chat'],
  ['POST', '/api/:user_id/chat'],
]
