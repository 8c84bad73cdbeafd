/** The routes of tokens for programs, below `/api/v1/tokens`. */
import { Elysia } from 'elysia'
import { type Services, signedIn } from '../auth/guard'
import { createTokenHandlers } from './handlers'
import * as operations from './operations'

export function tokenRoutes(services: Services) {
  const handlers = createTokenHandlers(services)
  return new Elysia()
    .use(signedIn(services))
    .get('/', handlers.list, operations.listTokens)
    .post('/', handlers.create, operations.createToken)
    .delete('/:id', handlers.remove, operations.deleteToken)
}
