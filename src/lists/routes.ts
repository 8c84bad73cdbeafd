/** The routes of lists, which are mounted at both addresses. */
import { Elysia } from 'elysia'
import { type Services, signedInOwner } from '../auth/guard'
import { afterWrites, type TaskDeps } from '../tasks/routes'
import { createHandlers } from './handlers'
import * as operations from './operations'

export function listRoutes(services: Services, deps: TaskDeps) {
  const handlers = createHandlers(services)
  return (
    new Elysia()
      .use(signedInOwner(services))
      // the tasks of a list change with it
      .onAfterHandle(afterWrites(deps))
      .get('/', handlers.list, operations.listLists)
      .post('/', handlers.create, operations.createList)
      .get('/:id', handlers.read, operations.readList)
      .patch('/:id', handlers.change, operations.patchList)
      .post('/:id/move', handlers.move, operations.moveList)
      .delete('/:id', handlers.remove, operations.deleteList)
  )
}
